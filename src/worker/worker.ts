import { EventEmitter } from 'node:events'
import { sleep } from '../connection/connection.js'
import { RateLimit } from '../connection/rate-limit.js'
import {
  DeliverySettledError,
  InvalidDataError,
  InvalidOptionError,
  LeaseLostError,
  PayloadTooLargeError,
  TaskTimeoutError,
  UnknownTaskTypeError,
  WorkerStoppedError,
} from '../errors.js'
import { LONGEST_TIMER_MS } from '../queue/consumer.js'
import { type Delivery, LEAST_LEASE_MS, LONGEST_LEASE_MS } from '../queue/delivery.js'
import { toError } from '../queue/describe-error.js'
import { emitSafely } from '../queue/emit-safely.js'
import type { QueueOptions } from '../queue/queue-options.js'
import { type AnyDelivery, TaskQueue, type TypeOf } from '../queue/task-queue.js'
import { intervalOf, type Timings } from '../queue/timings.js'
import { checkInteger, describe } from '../queue/validate.js'
import type { TaskContext } from './context.js'
import { Heartbeat } from './heartbeat.js'
import { type Handler, Run, type RunListener } from './run.js'
import { Runs } from './runs.js'
import type { WorkerWatcher } from './watcher.js'

/**
 * A handler for each type. It returns a result, or a promise of one. Whatever it throws fails the attempt, whatever that is:
 * an error that is none is described by one that has it as its `cause`. Where the queue keeps results and this one cannot be
 * stored (JSON has no such value, or it is over `maxPayloadBytes`), the task goes to the dead letters at once, with that error:
 * the handler has run to its end, and would do its work a second time for nothing. It may settle its task itself (`complete`,
 * `fail`, `release`), awaited or not; then what it returns is of no interest.
 */
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
  /** `degraded`: some shard is out of reach, the last heartbeat failed, or the worker's queue refuses calls or was disconnected. */
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
  /**
   * The task is with the dead letters: its last attempt failed, its result cannot be stored, or its handler gave it up by
   * `task.fail(error, { retry: false })`.
   */
  dead: [{ readonly task: AnyDelivery<Tasks>; readonly error: Error }]
  progress: [{ readonly task: AnyDelivery<Tasks>; readonly value: unknown }]
  log: [{ readonly task: AnyDelivery<Tasks>; readonly message: string }]
  /** Something went wrong that is no handler's failure: a lost lease, a shard out of reach, a listener that threw. */
  error: [Error]
}

type State = 'idle' | 'starting' | 'running' | 'stopping' | 'stopped'

/** How long a take waits before it asks again whether to go on, in ms. Wakes end it at once. */
const TAKE_MS = 60_000
/** Ms between looks at handlers that may have run too long: so much later than its `timeoutMs` one may be ended. */
const OVERDUE_MS = 20
/** Ms between two handlers of one take after which it is looked whether the lease still holds; less than any lease. */
const STOOD_STILL_MS = 100
/** Ms before a take that failed is tried again. */
const RETRY_MS = 100
/** Ms between two error events of takes that fail for the same reason. */
const REPORT_MS = 1_000

/** Runs handlers for a queue's tasks and keeps their leases alive. Start once; stop is safe at any time. */
export class Worker<Tasks = Record<string, unknown>> {
  readonly queue: TaskQueue<Tasks>
  readonly #handlers: Handlers<Tasks>
  readonly #concurrency: number
  readonly #leaseMs: number
  readonly #events = new EventEmitter()
  /** From the first line of the handler until the queue has settled the task. */
  readonly #held = new Runs()
  /** Handlers under way. */
  #active = 0
  /** Tasks whose handlers have ended, and that the queue has not settled yet. */
  #settling = 0
  readonly #settledWaiters: (() => void)[] = []
  readonly #listener: RunListener = {
    onProgress: ({ delivery }, value) =>
      this.#emit('progress', { task: delivery as AnyDelivery<Tasks>, value }),
    onLog: ({ delivery }, message) => this.#emit('log', { task: delivery as AnyDelivery<Tasks>, message }),
    onReturned: (run, result) => this.#complete(run, result),
    onThrown: (run, error) => {
      this.#settle(run, () => this.#fail(run, toError(error)))
    },
    onCompleted: (run) => {
      this.#settled(run)
      this.#completed(run, run.result)
    },
    onRefused: (run, error) => {
      this.#settled(run)
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
  readonly #takeReports = new RateLimit(REPORT_MS)
  #overdueTimer: NodeJS.Timeout | undefined
  #loop: Promise<void> | undefined
  #stopping: Promise<void> | undefined
  #freed: (() => void) | undefined

  /** @throws InvalidOptionError */
  constructor(name: string, handlers: Handlers<Tasks>, options: WorkerOptions) {
    if (typeof handlers !== 'object' || handlers === null || Array.isArray(handlers)) {
      const problem =
        'expected an object with a function for each task type, such as { resize: async (task) => … }, got ' +
        describe(handlers)
      throw new InvalidOptionError('handlers', problem)
    }
    if (typeof options !== 'object' || options === null) {
      const problem = `expected an object with a connection, such as { connection: { mode: 'single', url } }, got ${describe(options)}`
      throw new InvalidOptionError('options', problem)
    }
    const { concurrency, leaseMs, ...queueOptions } = options
    for (const [type, handler] of Object.entries(handlers)) {
      if (typeof handler !== 'function')
        throw new InvalidOptionError(`handlers.${type}`, `expected a function, got ${describe(handler)}`)
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
    this.#heartbeat = new Heartbeat(this.queue.consumer, this.#held, this.#leaseMs, {
      onLost: (run) => this.#lose(run),
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

  /** Never throws. */
  health(): WorkerHealth {
    const running = this.#state === 'running'
    const status =
      this.#state === 'stopping'
        ? 'stopping'
        : !running
          ? 'stopped'
          : this.#isDegraded()
            ? 'degraded'
            : 'healthy'
    return { status, running, active: this.#active, metrics: { ...this.#metrics } }
  }

  #isDegraded(): boolean {
    if (this.#heartbeatFailed) return true
    try {
      return !this.queue.consumer.reachesAll()
    } catch {
      // The queue refuses all calls, of which its error event has told, or somebody has disconnected it.
      return true
    }
  }

  /** One watcher at most; undefined for none. @internal */
  watch(watcher: WorkerWatcher | undefined): void {
    this.#watcher = watcher
  }

  async #fetch(): Promise<void> {
    const { signal } = this.#stopSignal
    while (!signal.aborted) {
      const room = this.#concurrency - this.#active
      if (room <= 0) {
        await new Promise<void>((resolve) => {
          this.#freed = resolve
        })
        // Others that end in the same breath make room too: one fetch for all of them.
        await new Promise<void>((resolve) => process.nextTick(resolve))
        continue
      }
      const deliveries = await this.#take(room, signal)
      const takenMs = performance.now()
      const sinceMs = Date.now() - takenMs
      for (const delivery of deliveries as Delivery[]) {
        const nowMs = performance.now()
        // A process that was stopped between two handlers, or a handler that blocks: others may have the rest by now.
        const isOver = nowMs - takenMs > STOOD_STILL_MS && !delivery.isHeld
        if (signal.aborted || isOver) void this.#inBackground(() => delivery.release())
        else this.#run(delivery, nowMs, sinceMs)
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
      const problem = toError(error)
      // It may be one that stays: a queue whose number of partitions is in doubt refuses every take.
      if (this.#takeReports.admits(problem.name)) this.#emit('error', problem)
      await sleep(RETRY_MS)
      return []
    }
  }

  /** `sinceMs`: from 1970 to 0 by performance.now(), which the producers' clocks do not know. */
  #run(delivery: Delivery, nowMs: number, sinceMs: number): void {
    const run = new Run(delivery, this.#listener, nowMs)
    this.#held.add(run)
    this.#active++
    try {
      this.#overdueTimer ??= setTimeout(() => this.#endOverdue(), OVERDUE_MS)
      this.#begin(run, sinceMs)
    } catch (error) {
      // A task that cannot even be started must not end the worker, nor stay with it.
      if (!this.#settle(run, () => this.#fail(run, toError(error)))) this.#emit('error', toError(error))
    }
  }

  #begin(run: Run, sinceMs: number): void {
    const { delivery } = run
    // A task from a producer whose clock is ahead has not waited.
    const waitedMs = Math.max(0, sinceMs + run.startedMs - delivery.enqueuedAt)
    const interval = intervalOf(waitedMs)
    // What a later attempt waited for was its backoff.
    if (delivery.attempt === 1) this.#timings?.wait.add(waitedMs, interval)
    run.account = this.#watcher?.(delivery.type)
    run.account?.wait.add(waitedMs, interval)
    const handler = Object.hasOwn(this.#handlers, delivery.type)
      ? (this.#handlers[delivery.type as TypeOf<Tasks>] as unknown as Handler)
      : undefined
    if (handler) run.start(handler)
    else this.#settle(run, () => this.#fail(run, new UnknownTaskTypeError(this.queue.name, delivery.type)))
  }

  /** One timer for all runs: one for each would cost more than all else that is done for a short task. */
  #endOverdue(): void {
    this.#overdueTimer = undefined
    const nowMs = performance.now()
    for (const run of this.#held.all()) {
      if (run.over || run.deadlineMs > nowMs) continue
      const error = new TaskTimeoutError(run.delivery.id, run.delivery.timeoutMs)
      run.abort(error)
      this.#settle(run, () => this.#fail(run, error))
    }
    if (this.#active > 0) this.#overdueTimer = setTimeout(() => this.#endOverdue(), OVERDUE_MS)
  }

  /** Its place is free for the next one at once. @returns false if it was over before */
  #end(run: Run, nowMs: number): boolean {
    if (run.over) return false
    run.over = true
    const tookMs = nowMs - run.startedMs
    const interval = intervalOf(tookMs)
    this.#timings?.processing.add(tookMs, interval)
    run.account?.processing.add(tookMs, interval)
    this.#active--
    this.#freed?.()
    this.#freed = undefined
    return true
  }

  #complete(run: Run, result: unknown): void {
    // Read once for all that is to be done with it now: a clock is dear beside a short task.
    const nowMs = performance.now()
    if (!this.#end(run, nowMs)) return
    // It settled its task in vain, and goes on as if nothing had happened.
    if (run.delivery.refusal !== undefined && run.delivery.settledAs === undefined)
      this.#emit('error', toError(run.delivery.refusal))
    if (run.delivery.settlement) {
      void this.#inBackground(() => this.#follow(run, undefined), run)
      return
    }
    run.result = result
    this.#settling++
    try {
      run.delivery.completeFor(result, run, nowMs)
    } catch (error) {
      // The result's `toJSON` has settled it: then the result is of no interest.
      if (error instanceof DeliverySettledError)
        void this.#inBackground(() => this.#follow(run, undefined), run)
      else {
        // The handler ran to its end, and would give the same again: there is nothing to be had from another attempt.
        const retry = !(error instanceof InvalidDataError || error instanceof PayloadTooLargeError)
        void this.#inBackground(() => this.#fail(run, toError(error), { retry }), run)
      }
      this.#settling--
    }
  }

  /** Ends a run once, and settles its task in the background. @returns false if it was over before */
  #settle(run: Run, settle: () => Promise<void>): boolean {
    if (!this.#end(run, performance.now())) return false
    void this.#inBackground(settle, run)
    return true
  }

  /** Whatever goes wrong is told, and the task leaves our hands in any case: else its lease would be renewed for ever. */
  async #inBackground(settle: () => Promise<void>, run?: Run): Promise<void> {
    this.#settling++
    try {
      await settle()
    } catch (error) {
      this.#notSettled(toError(error))
    } finally {
      run?.delivery.abandoned()
      this.#settled(run)
    }
  }

  /** Until then the lease was kept alive, since it may have to wait for a failover. */
  #settled(run: Run | undefined): void {
    if (run) this.#held.remove(run)
    if (--this.#settling === 0) for (const resolve of this.#settledWaiters.splice(0)) resolve()
  }

  #completed({ delivery, account }: Run, result: unknown): void {
    this.#metrics.completed++
    if (account) account.outcomes.completed++
    this.#emit('completed', { task: delivery as AnyDelivery<Tasks>, result })
  }

  #failed({ delivery, account }: Run, outcome: 'retried' | 'dead', error: Error): void {
    this.#metrics.failed++
    if (outcome === 'dead') this.#metrics.dead++
    if (account) account.outcomes[outcome === 'dead' ? 'dead' : 'failed']++
    this.#emit(outcome === 'dead' ? 'dead' : 'failed', { task: delivery as AnyDelivery<Tasks>, error })
  }

  /** @throws what `Delivery.fail` rejects with */
  async #fail(run: Run, error: Error, options: { readonly retry?: boolean } = {}): Promise<void> {
    if (run.delivery.settlement) await this.#follow(run, error)
    else this.#failed(run, await run.delivery.fail(error, options), error)
  }

  /**
   * The handler has settled its delivery itself: tells what became of it.
   * @param error what the handler threw besides, or what ended it
   * @throws what the handler's own call has rejected with
   */
  async #follow(run: Run, error: Error | undefined): Promise<void> {
    const { delivery } = run
    const { settledAs, settlement } = delivery
    if (!settlement) return
    try {
      await settlement.promise
    } catch (refusal) {
      if (error && error !== refusal) this.#emit('error', error)
      throw refusal
    }
    switch (settledAs) {
      case 'completed':
        this.#completed(run, settlement.given)
        break
      case 'retried':
      case 'dead':
        this.#failed(run, settledAs, toError(settlement.given))
        break
      default:
      // Handed back, or not settled: there is no event for it.
    }
    const { given } = settlement
    // Mostly what it gave to `fail`, which has been told.
    const told = error === given || (given !== undefined && error?.cause === given)
    if (error && !told) this.#emit('error', error)
  }

  #notSettled(error: Error): void {
    if (error instanceof LeaseLostError) this.#metrics.lost++
    this.#emit('error', error)
  }

  /** If the task is being settled, whatever settles it hears of the loss itself. */
  #lose(run: Run): void {
    if (run.delivery.settledAs !== undefined) return
    const error = new LeaseLostError(run.delivery.id)
    run.abort(error)
    this.#settle(run, async () => this.#notSettled(error))
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
      for (const run of this.#held.all()) {
        if (run.over) continue
        run.abort(stopped)
        this.#settle(run, () =>
          run.delivery.settlement ? this.#follow(run, undefined) : run.delivery.release(),
        )
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
    while (this.#active > 0) {
      const leftMs = deadlineMs - performance.now()
      if (leftMs <= 0) return
      let timer: NodeJS.Timeout | undefined
      await new Promise<void>((resolve) => {
        this.#freed = resolve
        timer = setTimeout(resolve, Math.min(leftMs, LONGEST_TIMER_MS))
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

  #emit<Name extends keyof WorkerEvents<Tasks>>(name: Name, ...args: WorkerEvents<Tasks>[Name]): void {
    emitSafely(this.#events, name, ...args)
  }
}
