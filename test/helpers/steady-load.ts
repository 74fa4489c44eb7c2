import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import type { ConnectionOptions } from '../../src/index.js'

/** What enqueues took in one phase. */
export interface PhaseReport {
  readonly name: string
  readonly seconds: number
  readonly enqueued: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** The longest that one enqueue took. */
  readonly maxMs: number
}

export interface LoadReport {
  readonly acknowledged: number
  readonly rejected: number
  /** Acknowledged, and not run within a minute of the last enqueue. */
  readonly lost: number
  /** Run more than once. */
  readonly repeated: number
  /** Why enqueues were rejected, and how often. */
  readonly errors: Readonly<Record<string, number>>
  readonly lastPhase: PhaseReport
}

export interface SteadyLoad {
  /** Begins a phase. @returns the one that ends thereby; the first is called `start` */
  phase(name: string): Promise<PhaseReport>
  /** Stops enqueueing, waits until all has run, one minute at most. */
  stop(): Promise<LoadReport>
}

export interface LoadOptions {
  readonly queue?: string
  /** Tasks per second. */
  readonly rate?: number
}

/** A producer and a worker in a process of their own, so that what the test does takes no time from them. */
export async function steadyLoad(
  connection: ConnectionOptions,
  options: LoadOptions = {},
): Promise<SteadyLoad> {
  const { child, load } = await openLoad(connection, options)
  onTestFinished(() => void child.kill('SIGKILL'))
  return load
}

/** As `steadyLoad`, for use in `beforeAll`: the caller ends the process in `afterAll`. */
export async function openLoad(
  connection: ConnectionOptions,
  { queue = 'steady', rate = 5_000 }: LoadOptions = {},
): Promise<{ child: ChildProcess; load: SteadyLoad }> {
  const script = fileURLToPath(new URL('processes/steady-load.ts', import.meta.url))
  const child = fork(script, [queue, String(rate)], {
    execArgv: ['--import', 'tsx'],
    // Not as an argument: it may have a password, and the list of processes shows those.
    env: { ...process.env, CONNECTION: JSON.stringify(connection) },
  })
  // One answer for each question, in order. A child that ends has none, and the test is not to wait for it.
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`the load ended with exit code ${code}`)
  })
  ended.catch(() => {})
  const answer = async <T>(): Promise<T> => {
    const gone = new AbortController()
    try {
      const [message] = await Promise.race([once(child, 'message', { signal: gone.signal }), ended])
      return message as T
    } finally {
      gone.abort()
    }
  }
  await answer<{ ready: true }>()
  const load: SteadyLoad = {
    async phase(name) {
      child.send({ phase: name })
      return (await answer<{ phase: PhaseReport }>()).phase
    },
    async stop() {
      child.send({ stop: true })
      return (await answer<{ report: LoadReport }>()).report
    },
  }
  return { child, load }
}
