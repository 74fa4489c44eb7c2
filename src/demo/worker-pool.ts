import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { ConnectionOptions } from '../connection/options.js'
import type { FromWorker, Run, ToWorker } from './messages.js'

export interface PoolOptions {
  readonly count: number
  readonly connection: ConnectionOptions
  /** Tasks that one process runs at once. */
  readonly concurrency: number
  readonly onRuns: (runs: readonly Run[]) => void
  /** What a worker complained of. Expected while a master is dead, so it decides nothing. */
  readonly onComplaint: (message: string) => void
  /** A process ended although nobody had asked it to. */
  readonly onDeath: (error: Error) => void
}

/** Longer than a worker takes to hand back what it holds. */
const STOP_MS = 8_000

/** Worker processes, forked. They end by themselves when this process does, however it ends. */
export class WorkerPool {
  readonly #children: readonly ChildProcess[]
  #stopping = false

  constructor(private readonly options: PoolOptions) {
    const script = new URL('./worker-process.js', import.meta.url)
    this.#children = Array.from({ length: options.count }, () => fork(script, { execArgv: [] }))
  }

  /** Resolves when every worker takes tasks. @throws Error when one of them ends instead */
  async start(): Promise<void> {
    const { connection, concurrency } = this.options
    await Promise.all(
      this.#children.map(async (child) => {
        const started = new Promise<void>((resolve, reject) => {
          child.on('message', (message: FromWorker) => {
            if (message.type === 'started') resolve()
            else if (message.type === 'runs') this.options.onRuns(message.runs)
            else this.options.onComplaint(message.message)
          })
          child.once('error', reject)
          child.once('exit', (code, signal) => {
            const error = new Error(
              `worker process ${child.pid} ended unasked (${signal ?? `exit code ${code}`})`,
            )
            reject(error)
            if (!this.#stopping) this.options.onDeath(error)
          })
        })
        tell(child, { type: 'start', connection, concurrency })
        await started
      }),
    )
  }

  /** Ends every worker at once, whatever it runs. Does nothing after `stop`. */
  async kill(): Promise<void> {
    this.#stopping = true
    for (const child of this.#children) child.kill('SIGKILL')
    await this.stop()
  }

  /** Lets every worker finish what it runs; one that does not within 8 s is ended. Safe to call twice. */
  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.all(
      this.#children.map(async (child) => {
        if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
        const ended = once(child, 'exit')
        const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
        tell(child, { type: 'stop' })
        await ended
        clearTimeout(timer)
      }),
    )
  }
}

/** A child that is ending may have closed its channel already; its `exit` tells the rest. */
function tell(child: ChildProcess, message: ToWorker): void {
  if (child.connected) child.send(message, () => {})
}
