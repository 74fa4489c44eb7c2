import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { extname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { InterruptedError } from '../cluster/index.js'
import type { ConnectionOptions } from '../connection/options.js'
import type { Contender } from './client.js'
import { benchQueueName } from './leftovers.js'
import type { Measure, Reading } from './measures.js'
import type { Order, Report } from './reading-process.js'
import { type ServerState, Servers } from './servers.js'

/** A reading, and what it cost the servers, in microseconds of CPU per task. */
export interface FullReading extends Reading {
  readonly perSecond: number
  /** Calls that the masters have had, those within scripts included. */
  readonly commandsPerSecond: number
  readonly masterUs: number
  readonly replicaUs: number
  /** Bytes on the masters for each task that waits; only where the tasks are still there in the end. */
  readonly bytesPerTask: number | undefined
}

export interface BenchRow {
  readonly measure: Measure
  readonly contender: string
  readonly readings: readonly FullReading[]
}

export interface BenchOptions {
  readonly connection: ConnectionOptions
  readonly contenders: readonly Contender[]
  readonly measures: readonly Measure[]
  /** Readings of each measure for each contender. Default 5. */
  readonly rounds?: number
  /** Told of a queue before there is anything of it. */
  readonly begin?: (queue: string) => Promise<void>
  /** Removes what a queue has left. */
  readonly clean: (queue: string) => Promise<void>
  readonly onReading?: (row: {
    measure: Measure
    contender: string
    round: number
    reading: FullReading
  }) => void
  readonly signal?: AbortSignal
}

/** A server has read by then what a process has written that is no more. */
const ON_ITS_WAY_MS = 300

/** Longest that one reading may take, in ms. */
const READING_MS = 300_000

/**
 * Takes all readings, contenders in turn in every round, so that what slows the machine down for a while slows down all of
 * them. @throws InterruptedError; what the servers or a contender failed with
 */
export async function bench(options: BenchOptions): Promise<BenchRow[]> {
  const servers = await Servers.of(options.connection)
  const rows: BenchRow[] = []
  try {
    for (const measure of options.measures) {
      const readings = options.contenders.map((): FullReading[] => [])
      for (let round = 0; round < (options.rounds ?? 5); round++) {
        for (let i = 0; i < options.contenders.length; i++) {
          // Another one begins each time.
          const at = (i + round) % options.contenders.length
          const contender = options.contenders[at] as Contender
          options.signal?.throwIfAborted()
          const scaled = {
            ...measure,
            tasks: Math.ceil(measure.tasks * scaleOf(measure, contender)),
            ...('concurrency' in measure && measure.kind !== 'enqueue'
              ? { concurrency: contender.concurrency }
              : {}),
          }
          const reading = await takeReading(options, servers, contender, scaled)
          readings[at]?.push(reading)
          options.onReading?.({ measure, contender: contender.name, round, reading })
        }
      }
      options.contenders.forEach(({ name }, i) => {
        rows.push({ measure, contender: name, readings: readings[i] ?? [] })
      })
    }
  } catch (error) {
    // A process that was killed for it, or Ctrl-C itself, tells of something else.
    if (options.signal?.aborted) throw new InterruptedError('the benchmark', { cause: error })
    throw error
  } finally {
    servers.close()
  }
  return rows
}

/** What is paced by the clock or by a single caller takes as long for all. */
function scaleOf(measure: Measure, { scale }: Contender): number {
  return measure.kind === 'idle' || (measure.kind === 'enqueue' && measure.concurrency === 1) ? 1 : scale
}

async function takeReading(
  { connection, begin, clean, signal }: BenchOptions,
  servers: Servers,
  contender: Contender,
  measure: Measure,
): Promise<FullReading> {
  const queue = benchQueueName()
  await begin?.(queue)
  const child = startProcess(contender)
  const abort = () => child.kill('SIGKILL')
  signal?.addEventListener('abort', abort)
  const timer = setTimeout(abort, READING_MS)
  try {
    const { reading, before, after } = await converse(child, servers, {
      module: contender.module,
      connection,
      queue,
      settings: contender.settings ?? {},
      measure,
    })
    const waiting = measure.kind === 'enqueue-many' || measure.kind === 'enqueue'
    return {
      ...reading,
      perSecond: reading.tasks / (reading.ms / 1_000),
      commandsPerSecond: (after.commands - before.commands) / (reading.ms / 1_000),
      masterUs: (after.mastersUs - before.mastersUs) / reading.tasks,
      replicaUs: (after.replicasUs - before.replicasUs) / reading.tasks,
      bytesPerTask: waiting ? (after.mastersBytes - before.mastersBytes) / reading.tasks : undefined,
    }
  } finally {
    clearTimeout(timer)
    signal?.removeEventListener('abort', abort)
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    // What it had sent when it was killed is still on its way.
    if (child.signalCode !== null) await sleep(ON_ITS_WAY_MS)
    await clean(queue)
  }
}

function startProcess({ module }: Contender): ChildProcess {
  const extension = extname(fileURLToPath(import.meta.url))
  const typescript = extension === '.ts' || module.endsWith('.ts')
  return fork(new URL(`./reading-process${extension}`, import.meta.url), {
    execArgv: typescript ? ['--import', 'tsx'] : [],
  })
}

/** The servers are asked outside the time that is measured. */
function converse(
  child: ChildProcess,
  servers: Servers,
  order: Order,
): Promise<{ reading: Reading; before: ServerState; after: ServerState }> {
  return new Promise((resolve, reject) => {
    let before: ServerState | undefined
    let after: Promise<ServerState> | undefined
    const ended = (code: number | null, signal: string | null) =>
      reject(new Error(`the process of a reading ended with ${signal ?? code} before it had one`))
    child.once('exit', ended)
    child.on('message', (report: Report) => {
      switch (report.what) {
        case 'begin':
          servers.state().then((state) => {
            before = state
            child.send('go')
          }, reject)
          break
        case 'end':
          after = servers.state()
          after.catch(reject)
          break
        case 'reading':
          child.off('exit', ended)
          if (before === undefined || after === undefined)
            reject(new Error('a reading without begin and end'))
          else {
            const { reading } = report
            const first = before
            Promise.all([after, exited(child)]).then(
              ([last]) => resolve({ reading, before: first, after: last }),
              reject,
            )
          }
          break
        case 'failed':
          reject(new Error(report.error))
          break
      }
    })
    child.send(order)
  })
}

async function exited(child: ChildProcess): Promise<void> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}
