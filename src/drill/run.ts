import { setTimeout as sleep } from 'node:timers/promises'
import { ClusterNotReadyError, type ClusterStatus, InterruptedError, nameOf } from '../cluster/index.js'
import { waitUntilWhole } from '../cluster/whole.js'
import { ledgerNow, MemoryBook } from '../ledger/index.js'
import { account } from './account.js'
import { DrillNotHealedError } from './errors.js'
import { FAULTS, type Scene } from './faults.js'
import type { Hands } from './hands.js'
import { Load } from './load.js'
import type { Moments } from './measure.js'
import type { ResolvedDrillOptions } from './options.js'
import type { QueueFactory, QueueUnderTest } from './queue-under-test.js'
import type { Repairs } from './repairs.js'
import type { DrillReport } from './report.js'
import { ServerLogs } from './server-log.js'
import type { Target } from './target.js'
import { seenBy, Watch } from './watch.js'

/** Until workers and replicas have settled; what happens before is not in the rate before the strike. */
const SETTLE_MS = 200
/** For nodes that run. Besides the time that a foreign one is given to come back. */
const WHOLE_MS = 30_000
/** An outage lasts up to two node time-outs and an election; the backlog falls due all through it. */
const backlogMs = (nodeTimeoutMs: number) => 2 * nodeTimeoutMs + 2_000

/** What stands ready to be run, once the operator agrees. */
export interface Prepared {
  readonly target: Target
  readonly options: ResolvedDrillOptions
  readonly hands: Hands
  readonly repairs: Repairs
}

/** Loads, strikes, measures, mends. Whatever happens, what was done to the cluster is undone before this returns. */
export class DrillRun {
  readonly #book = new MemoryBook('drill')
  readonly #notes: string[] = []
  readonly #watch: Watch
  readonly #queue: QueueUnderTest
  readonly #load: Load
  #steady = { fromMs: 0, toMs: 0 }
  #firstDeedMs: number | null = null
  #strikeMs: number | null = null
  #keysLeft: number | null = null

  constructor(
    private readonly prepared: Prepared,
    makeQueue: QueueFactory,
  ) {
    const struck = nameOf(prepared.target.shard.master)
    this.#watch = new Watch(prepared.target, (by) =>
      this.#say(`${struck} is flagged FAIL, says ${seenBy(by)}`),
    )
    this.#queue = makeQueue(prepared.target)
    this.#load = new Load(this.#queue, this.#book, prepared.options.rate)
  }

  async run(): Promise<DrillReport> {
    const { signal } = this.prepared.options
    let failure: unknown
    try {
      return await this.#drill()
    } catch (error) {
      failure =
        signal.aborted && !(error instanceof InterruptedError)
          ? new InterruptedError('the drill', { cause: error })
          : error
      throw failure
    } finally {
      this.#load.stop()
      if (failure !== undefined) await this.#heal(failure)
      await this.#watch.stop()
    }
  }

  async #drill(): Promise<DrillReport> {
    const { target, options } = this.prepared
    const { signal } = options
    const struck = nameOf(target.shard.master)
    await this.#queue.open()
    await this.#load.consume()
    this.#watch.start()
    this.#load.start()
    const keyed = this.#queue.keys.length > 0 ? ', one in five with a key' : ''
    this.#say(`${options.rate} tasks per second on queue ${this.#queue.name}${keyed}`)
    await sleep(SETTLE_MS, undefined, { signal })
    const fromMs = ledgerNow()
    await sleep(options.beforeMs, undefined, { signal })
    this.#steady = { fromMs, toMs: ledgerNow() }
    const fedUntilMs = ledgerNow() + backlogMs(target.nodeTimeoutMs)
    await this.#load.backlog(backlogMs(target.nodeTimeoutMs), (id) => this.#queue.masterOf(id) === struck)

    const logs = target.local ? await ServerLogs.mark(target.local) : null
    const back = await FAULTS[options.kind].run(this.#scene())
    const { status, missing } = await this.#untilWhole(back ? WHOLE_MS + 2 * target.nodeTimeoutMs : 0, signal)
    const wholeMs = status ? ledgerNow() : null
    // Before the queue is drained, so that the figures of the fault end where it does.
    this.#book.write({ what: 'healthy', fault: options.kind })
    if (status) this.#say('every node agrees, every replica is linked')
    await sleep(options.afterMs, undefined, { signal })
    this.#load.stop()
    const endMs = ledgerNow()
    this.#say('load ended; waiting for what is left in the queue')
    const held = await this.#load.drain(signal)
    const structure = await this.#queue
      .structure()
      .catch((error: Error) => [`it cannot be read: ${error.message}`])
    await this.#queue.close()
    await this.#removeKeys()

    const moments: Moments = {
      steady: this.#steady,
      firstDeedMs: this.#firstDeedMs ?? endMs,
      strikeMs: this.#strikeMs ?? endMs,
      fedUntilMs,
      failedMs: this.#watch.failed?.atMs ?? null,
      promotedMs: this.#watch.promoted?.atMs ?? null,
      wholeMs,
      endMs,
    }
    return account({
      target,
      options,
      queue: this.#queue,
      entries: this.#book.entries,
      moments,
      logged: logs ? await logs.read(target.shard.master.id, moments.strikeMs) : null,
      returned: this.#watch.promoted === null && this.#watch.returned !== null,
      after: status,
      missing,
      held,
      structure,
      keysLeft: this.#keysLeft ?? 0,
      notes: this.#notes,
    })
  }

  #scene(): Scene {
    const { target, hands, options } = this.prepared
    const deed = (text: string) => {
      this.#firstDeedMs ??= ledgerNow()
      this.#book.write({ what: 'fault', fault: options.kind, step: text, nodes: true })
      this.#say(text)
    }
    return {
      target,
      hands,
      watch: this.#watch,
      freezeMs: options.freezeMs,
      signal: options.signal,
      deed,
      strike: (text) => {
        if (this.#strikeMs === null) {
          this.#strikeMs = ledgerNow()
          this.#watch.strike()
        }
        deed(text)
      },
      note: (text) => {
        this.#notes.push(text)
        this.#say(text)
      },
      say: (text) => this.#say(text),
    }
  }

  #say(text: string): void {
    const sinceStrikeMs = this.#strikeMs === null ? null : Math.round(ledgerNow() - this.#strikeMs)
    this.prepared.options.onStep({ text, sinceStrikeMs })
  }

  async #untilWhole(
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<{ status: ClusterStatus | null; missing: readonly string[] }> {
    const { before, access, addressOf } = this.prepared.target
    try {
      const nodes = before.nodes.map(addressOf)
      return { status: await waitUntilWhole(nodes, access, { timeoutMs, signal }), missing: [] }
    } catch (error) {
      if (!(error instanceof ClusterNotReadyError)) throw error
      return { status: null, missing: error.missing }
    }
  }

  async #removeKeys(): Promise<void> {
    try {
      this.#keysLeft = await this.#queue.removeKeys()
    } catch (error) {
      throw new DrillNotHealedError(
        [`remove the keys of queue ${this.#queue.name} (${(error as Error).message})`],
        { cause: error },
      )
    }
  }

  /** On the way out of a drill that failed or was interrupted: first the nodes, then the queue, then its keys. */
  async #heal(cause: unknown): Promise<void> {
    const undone: string[] = []
    const attempt = async (what: string, step: () => Promise<unknown>) => {
      try {
        await step()
      } catch (error) {
        if (error instanceof DrillNotHealedError) undone.push(...error.undone)
        else undone.push(`${what} (${(error as Error).message})`)
      }
    }
    if (this.#firstDeedMs !== null) this.#say('undoing what was done')
    await attempt('undo what was done', () => this.prepared.repairs.payAll(cause))
    if (this.#firstDeedMs !== null) {
      await attempt('mend the cluster', async () => {
        const { missing } = await this.#untilWhole(WHOLE_MS)
        if (missing.length > 0) throw new Error(missing.join('; '))
      })
    }
    await attempt('end the load', () => this.#queue.close())
    if (this.#keysLeft === null) await attempt('remove the keys', () => this.#removeKeys())
    if (undone.length > 0) throw new DrillNotHealedError(undone, { cause })
  }
}
