import { EventEmitter } from 'node:events'
import { sleep } from '../connection/connection.js'
import {
  InvalidOptionError,
  LeaseLostError,
  TaskTimeoutError,
  UnknownTaskTypeError,
  WorkerStoppedError,
} from '../errors.js'
import { type Delivery, LEAST_LEASE_MS, LONGEST_LEASE_MS } from '../queue/delivery.js'
import type { QueueOptions } from '../queue/queue-options.js'
import { type AnyDelivery, TaskQueue, type TypeOf } from '../queue/task-queue.js'
import type { Timings } from '../queue/timings.js'
import { checkInteger } from '../queue/validate.js'
import type { TaskContext } from './context.js'
import { Heartbeat } from './heartbeat.js'
import { type Handler, Run, type RunListener } from './run.js'
import type { WorkerWatcher } from './watcher.js'

export type Handlers<Tasks> = {
  readonly [Type in TypeOf<Tasks>]?: (task: Delivery<Type, Tasks[Type]>, ctx: TaskContext) => unknown
}

export interface WorkerOptions extends QueueOptions {
  /** Most handlers that run at once. Default 10, at most 1,000. */
  readonly concurrency?: number
  /** Ms until the tasks of a worker that died are given out again; renewed while it lives. Default 30,000. */
  readonly leaseMs?: number
}

export interface WorkerMetrics {
  readonly completed: number
  readonly failed: number
  readonly dead: number
  readonly lost: number
}

export interface WorkerHealth {
  /** `degraded`: some shard is out of reach, or the last heartbeat failed. */
  readonly status: 'healthy' | 'degraded' | 'stopping' | 'stopped'
  readonly running: boolean
  /** Handlers under way. */
  readonly active: number
  readonly metrics: WorkerMetrics
}

export interface WorkerEvents<Tasks> {
  completed: [{ readonly task: AnyDelivery<Tasks>; readonly result: unknown }]
  /** An attempt failed and the task will be tried again. */
  failed: [{ readonly task: AnyDelivery<Tasks>; readonly error: Error }]
  /** The last attempt failed, and the task is with the dead letters. */
  dead: [{ readonly task: AnyDelivery<Tasks>; readonly error: Error }]
  progress: [{ readonly task: AnyDelivery<Tasks>; readonly value: unknown }]
  log: [{ readonly task: AnyDelivery<Tasks>; readonly message: string }]
  /** Something went wrong that is no handler's failure: a lost lease, a shard out of reach. */
  error: [Error]
}

type State = 'idle' | 'starting' | 'running' | 'stopping' | 'stopped'

/** How long a take waits before it asks again whether to go on, in ms. Wakes end it at once. */
const TAKE_MS = 60_000
/** Ms between looks at handlers that may have run too long: so much later than its `timeoutMs` one may be ended. */
const OVERDUE_MS = 20
/** Ms before a take that failed is tried again. */
const RETRY_MS = 100

/** Runs handlers for a queue's tasks and keeps their leases alive. Start once; stop is safe at any time. */
export class Worker<Tasks = Record<string, unknown>> {
  readonly queue: TaskQueue<Tasks>
  readonly #handlers: Handlers<Tasks>
  readonly #concurrency: number
  readonly #leaseMs: number
  readonly #events = new EventEmitter()
  readonly #runs = new Set<Run>()
  /** Tasks whose handlers have ended, and that the queue has not settled yet. */
  #settling = 0
  readonly #settledWaiters: (() => void)[] = []
  readonly #listener: RunListener = {
    onProgress: ({ delivery }, value) =>
      this.#emit('progress', { task: delivery as AnyDelivery<Tasks>, value }),
    onLog: ({ delivery }, message) => this.#emit('log', { task: delivery as AnyDelivery<Tasks>, message }),
    onReturned: (run, result) => this.#complete(run, result),
    onThrown: (run, error) => this.#settle(run, () => this.#fail(run.delivery, toError(error))),
    onCompleted: (run) => {
      this.#settled(run.delivery)
      this.#metrics.completed++
      this.#watcher?.settled(run.delivery.type, 'completed')
      this.#emit('completed', { task: run.delivery as AnyDelivery<Tasks>, result: run.result })
    },
    onRefused: ({ delivery }, error) => {
      this.#settled(delivery)
      this.#notSettled(error)
    },
  }
  readonly #metrics = { completed: 0, failed: 0, dead: 0, lost: 0 }
  readonly #stopSignal = new AbortController()
  #state: State = 'idle'
  #heartbeat: Heartbeat | undefined
  #timings: Timings | undefined
  #watcher: WorkerWatcher | undefined
  #heartbeatFailed = false
  #overdueTimer: NodeJS.Timeout | undefined
  #loop: Promise<void> | undefined
  #stopping: Promise<void> | undefined
  #freed: (() => void) | undefined

  /** @throws InvalidOptionError */
  constructor(name: string, handlers: Handlers<Tasks>, options: WorkerOptions) {
    const { concurrency, leaseMs, ...queueOptions } = options
    for (const [type, handler] of Object.entries(handlers)) {
      if (typeof handler !== 'function')
        throw new InvalidOptionError(`handlers.${type}`, 'expected a function')
    }
    this.#handlers = handlers
    this.#concurrency = checkInteger('options.concurrency', concurrency ?? 10, 1, 1_000)
    this.#leaseMs = checkInteger('options.leaseMs', leaseMs ?? 30_000, LEAST_LEASE_MS, LONGEST_LEASE_MS)
    this.queue = new TaskQueue<Tasks>(name, queueOptions)
    this.queue.on('error', (error) => this.#emit('error', error))
  }

  on<Name extends keyof WorkerEvents<Tasks>>(
    name: Name,
    listener: (...args: WorkerEvents<Tasks>[Name]) => void,
  ): this {
    this.#events.on(name, listener as (...args: unknown[]) => void)
    return this
  }

  off<Name extends keyof WorkerEvents<Tasks>>(
    name: Name,
    listener: (...args: WorkerEvents<Tasks>[Name]) => void,
  ): this {
    this.#events.off(name, listener as (...args: unknown[]) => void)
    return this
  }

  /** Connects and begins to fetch. @throws as TaskQueue.connect; the worker may be started again then */
  async start(): Promise<void> {
    if (this.#state !== 'idle')
      throw new InvalidOptionError('start', `the worker is ${this.#state}; make a new one`)
    this.#state = 'starting'
    try {
      await this.queue.connect()
    } catch (error) {
      this.#state = 'idle'
      throw error
    }
    if (this.#state !== 'starting') return
    this.#state = 'running'
    this.#heartbeat = new Heartbeat(this.queue.consumer, this.#leaseMs, {
      onLost: (delivery) => this.#lose(delivery),
      onBeat: (error) => {
        this.#heartbeatFailed = error !== undefined
        if (error) this.#emit('error', error)
      },
    })
    this.#heartbeat.start()
    this.#timings = this.queue.consumer.timings
    this.#loop = this.#fetch()
  }

  /**
   * Stops fetching, lets handlers finish for `timeoutMs` (default 10,000), then aborts them and hands their tasks
   * back without using up an attempt.
   */
  stop(options: { readonly timeoutMs?: number } = {}): Promise<void> {
    const timeoutMs = checkInteger('options.timeoutMs', options.timeoutMs ?? 10_000, 0)
    this.#stopping ??= this.#stop(timeoutMs)
    return this.#stopping
  }

  health(): WorkerHealth {
    const running = this.#state === 'running'
    const status =
      this.#state === 'stopping'
        ? 'stopping'
        : !running
          ? 'stopped'
          : this.#heartbeatFailed || !this.queue.consumer.reachesAll()
            ? 'degraded'
            : 'healthy'
    return { status, running, active: this.#runs.size, metrics: { ...this.#metrics } }
  }

  /** One watcher at most; undefined for none. @internal */
  watch(watcher: WorkerWatcher | undefined): void {
    this.#watcher = watcher
  }

  async #fetch(): Promise<void> {
    const { signal } = this.#stopSignal
    while (!signal.aborted) {
      const room = this.#concurrency - this.#runs.size
      if (room <= 0) {
        await new Promise<void>((resolve) => {
          this.#freed = resolve
        })
        // Others that end in the same breath make room too: one fetch for all of them.
        await new Promise<void>((resolve) => process.nextTick(resolve))
        continue
      }
      const deliveries = await this.#take(room, signal)
      for (const delivery of deliveries) {
        if (signal.aborted)
          void this.#inBackground(delivery as Delivery, () => this.#handBack(delivery as Delivery))
        else this.#run(delivery as Delivery)
      }
    }
  }

  /** Whatever goes wrong with one take must not end the worker. */
  async #take(count: number, signal: AbortSignal): Promise<AnyDelivery<Tasks>[]> {
    try {
      return await this.queue.take({
        count,
        blockMs: TAKE_MS,
        leaseMs: this.#leaseMs,
        levels: [0, 1, 2],
        fill: false,
        signal,
      })
    } catch (error) {
      this.#emit('error', toError(error))
      await sleep(RETRY_MS)
      return []
    }
  }

  #run(delivery: Delivery): void {
    const run = new Run(delivery, this.#listener)
    // By two clocks: a task from a producer whose clock is ahead has not waited.
    const waitedMs = Math.max(0, Date.now() - delivery.enqueuedAt)
    // What a later attempt waited for was its backoff.
    if (delivery.attempt === 1) this.#timings?.wait.add(waitedMs)
    this.#watcher?.started(delivery.type, waitedMs)
    this.#runs.add(run)
    this.#heartbeat?.hold(delivery)
    this.#overdueTimer ??= setTimeout(() => this.#endOverdue(), OVERDUE_MS)
    const handler = Object.hasOwn(this.#handlers, delivery.type)
      ? (this.#handlers[delivery.type as TypeOf<Tasks>] as unknown as Handler)
      : undefined
    if (handler) run.start(handler)
    else
      this.#settle(run, () => this.#fail(delivery, new UnknownTaskTypeError(this.queue.name, delivery.type)))
  }

  /** One timer for all runs: one for each would cost more than all else that is done for a short task. */
  #endOverdue(): void {
    this.#overdueTimer = undefined
    const nowMs = performance.now()
    for (const run of this.#runs) {
      if (run.deadlineMs > nowMs) continue
      const error = new TaskTimeoutError(run.delivery.id, run.delivery.timeoutMs)
      run.abort(error)
      this.#settle(run, () => this.#fail(run.delivery, error))
    }
    if (this.#runs.size > 0) this.#overdueTimer = setTimeout(() => this.#endOverdue(), OVERDUE_MS)
  }

  /** Its place is free for the next one at once. @returns false if it was over before */
  #end(run: Run): boolean {
    if (run.over) return false
    run.over = true
    this.#runs.delete(run)
    const tookMs = performance.now() - run.startedMs
    this.#timings?.processing.add(tookMs)
    this.#watcher?.ended(run.delivery.type, tookMs)
    this.#freed?.()
    this.#freed = undefined
    return true
  }

  #complete(run: Run, result: unknown): void {
    if (!this.#end(run)) return
    run.result = result
    this.#settling++
    try {
      run.delivery.completeFor(result, run)
    } catch (error) {
      this.#settled(run.delivery)
      this.#notSettled(error as Error)
    }
  }

  /** Ends a run once, and settles its task in the background. */
  #settle(run: Run, settle: () => Promise<void>): void {
    if (this.#end(run)) void this.#inBackground(run.delivery, settle)
  }

  async #inBackground(delivery: Delivery, settle: () => Promise<void>): Promise<void> {
    this.#settling++
    await settle()
    this.#settled(delivery)
  }

  /** Until then the lease was kept alive, since it may have to wait for a failover. */
  #settled(delivery: Delivery): void {
    this.#heartbeat?.drop(delivery)
    if (--this.#settling === 0) for (const resolve of this.#settledWaiters.splice(0)) resolve()
  }

  async #fail(delivery: Delivery, error: Error): Promise<void> {
    let outcome: 'retried' | 'dead'
    try {
      outcome = await delivery.fail(error)
    } catch (cause) {
      this.#notSettled(cause as Error)
      return
    }
    this.#metrics.failed++
    if (outcome === 'dead') this.#metrics.dead++
    this.#watcher?.settled(delivery.type, outcome === 'dead' ? 'dead' : 'failed')
    this.#emit(outcome === 'dead' ? 'dead' : 'failed', { task: delivery as AnyDelivery<Tasks>, error })
  }

  async #handBack(delivery: Delivery): Promise<void> {
    try {
      await delivery.release()
    } catch (error) {
      this.#notSettled(error as Error)
    }
  }

  #notSettled(error: Error): void {
    if (error instanceof LeaseLostError) this.#metrics.lost++
    this.#emit('error', error)
  }

  #lose(delivery: Delivery): void {
    for (const run of this.#runs) {
      if (run.delivery !== delivery) continue
      const error = new LeaseLostError(delivery.id)
      run.abort(error)
      this.#settle(run, async () => this.#notSettled(error))
      return
    }
    this.#heartbeat?.drop(delivery)
  }

  async #stop(timeoutMs: number): Promise<void> {
    const started = this.#state === 'running'
    this.#state = 'stopping'
    this.#stopSignal.abort()
    this.#freed?.()
    if (started) {
      await this.#loop
      await this.#idle(timeoutMs)
      const stopped = new WorkerStoppedError(this.queue.name)
      for (const run of [...this.#runs]) {
        run.abort(stopped)
        this.#settle(run, () => this.#handBack(run.delivery))
      }
      await this.#allSettled()
      this.#heartbeat?.stop()
      clearTimeout(this.#overdueTimer)
    }
    await this.queue.disconnect()
    this.#state = 'stopped'
  }

  /** Resolves when no handler runs, or after `timeoutMs`. */
  async #idle(timeoutMs: number): Promise<void> {
    const deadlineMs = performance.now() + timeoutMs
    while (this.#runs.size > 0) {
      const leftMs = deadlineMs - performance.now()
      if (leftMs <= 0) return
      let timer: NodeJS.Timeout | undefined
      await new Promise<void>((resolve) => {
        this.#freed = resolve
        timer = setTimeout(resolve, leftMs)
      })
      clearTimeout(timer)
    }
  }

  /** What cannot be settled, because its shard is out of reach, does not hold up the end for ever. */
  async #allSettled(): Promise<void> {
    if (this.#settling === 0) return
    let timer: NodeJS.Timeout | undefined
    await new Promise<void>((resolve) => {
      this.#settledWaiters.push(resolve)
      timer = setTimeout(resolve, this.queue.options.enqueueTimeoutMs)
    })
    clearTimeout(timer)
  }

  /** A listener that throws must not end the work of others; what it threw goes to the `error` listeners. */
  #emit<Name extends keyof WorkerEvents<Tasks>>(name: Name, ...args: WorkerEvents<Tasks>[Name]): void {
    if (this.#events.listenerCount(name) === 0) return
    for (const listener of this.#events.listeners(name)) {
      try {
        ;(listener as (...values: unknown[]) => void)(...args)
      } catch (error) {
        if (name !== 'error') this.#emit('error', ...([toError(error)] as WorkerEvents<Tasks>['error']))
      }
    }
  }
}

function toError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error))
}
