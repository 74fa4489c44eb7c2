import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ConnectionOptions } from '../../../src/connection/options.js'
import { TaskQueue } from '../../../src/index.js'
import { check, type Entry, type FileBook, type Findings } from '../../../src/ledger/index.js'
import { Books } from './books.js'
import { Client } from './clients.js'
import { type StormCluster, until } from './cluster.js'
import { FAULTS, type FaultKind, type FaultName, type Stage } from './faults.js'
import { judge, type Violation } from './judge.js'
import type { Protection } from './messages.js'
import { Random } from './random.js'

export interface StormOptions {
  readonly cluster: StormCluster
  readonly nodeTimeoutMs: number
  readonly seed: number
  readonly without?: Protection
  /** Ms of work before each fault. Default 500. */
  readonly calmMs?: number
}

export interface Result {
  readonly kind: FaultName
  readonly steps: readonly string[]
  readonly tookMs: number
  readonly findings: Findings
  readonly violations: readonly Violation[]
  /** All entries of the tokens that violations name, at most five. */
  readonly stories: readonly (readonly Entry[])[]
}

const QUEUE = 'storm'
const PRODUCERS = 2
const WORKERS = 2
/** Tasks of a dead worker wait for its lease (3 s), and those of a dead shard for its failover. */
const DRAIN_MS = 40_000
const WHOLE_MS = 60_000
const MOST_STORIES = 5

/** Clients at work on a cluster, and one fault after the other, each accounted for before the next one comes. */
export class Storm {
  readonly #random: Random
  readonly #books: Books
  readonly #book: FileBook
  readonly #connection: ConnectionOptions
  readonly #producers: Client[] = []
  readonly #workers: Client[] = []
  readonly #queue: TaskQueue
  /** Tokens of faults that were accounted for. */
  readonly #settled = new Set<string>()
  #strangers = 0

  private constructor(
    private readonly options: StormOptions,
    folder: string,
  ) {
    this.#random = new Random(options.seed)
    this.#books = new Books(folder)
    this.#book = this.#books.open('storm')
    this.#connection = { mode: 'cluster', nodes: options.cluster.seeds }
    this.#queue = new TaskQueue(QUEUE, { connection: this.#connection })
  }

  static async start(options: StormOptions): Promise<Storm> {
    const storm = new Storm(options, await mkdtemp(join(tmpdir(), 'shardq-storm-')))
    try {
      await storm.#queue.connect()
      for (let i = 0; i < PRODUCERS; i++) storm.#producers.push(storm.#client(`producer${i}`, true, false))
      for (let i = 0; i < WORKERS; i++) storm.#workers.push(storm.#client(`worker${i}`, false, true))
      await Promise.all(storm.#clients().map((client) => client.start()))
      return storm
    } catch (error) {
      await storm.stop()
      throw error
    }
  }

  /** Where the ledgers are; `stop` removes it. */
  get folder(): string {
    return this.#books.folder
  }

  async fault(name: FaultName): Promise<Result> {
    const kind: FaultKind = FAULTS[name]
    const startedMs = performance.now()
    const steps: string[] = []
    const { cluster, nodeTimeoutMs } = this.options
    for (const producer of this.#producers) producer.go()
    await sleep(this.options.calmMs ?? 500)
    const strike = (step: string, nodes = true) => {
      steps.push(step)
      this.#book.write({ what: 'fault', fault: name, step, nodes })
    }
    const stage: Stage = {
      cluster,
      queue: QUEUE,
      nodeTimeoutMs,
      random: this.#random,
      producers: this.#producers,
      workers: this.#workers,
      stranger: (node) => this.#stranger(node),
      strike,
    }
    await kind.run(stage)
    await cluster.whole(WHOLE_MS)
    await sleep(this.options.calmMs ?? 500)
    await Promise.all(this.#producers.map((producer) => producer.pause()))
    const entries = await this.#drained(name)
    const findings = check(entries)
    const violations = [...judge(findings, kind), ...this.#ghosts(entries)]
    const tokens = [...new Set(violations.flatMap((each) => each.tokens))].slice(0, MOST_STORIES)
    return {
      kind: name,
      steps,
      tookMs: performance.now() - startedMs,
      findings,
      violations,
      stories: tokens.map((token) => entries.filter((entry) => 'token' in entry && entry.token === token)),
    }
  }

  /** Ends all clients; `keep` leaves the ledgers. */
  async stop(keep = false): Promise<void> {
    await Promise.all(this.#clients().map((client) => client.kill()))
    await this.#queue.disconnect()
    this.#book.close()
    if (!keep) await rm(this.#books.folder, { recursive: true, force: true })
  }

  #clients(): Client[] {
    return [...this.#producers, ...this.#workers]
  }

  #client(name: string, produces: boolean, works: boolean, inside: readonly string[] = []): Client {
    const spec = {
      name,
      produces,
      works,
      queue: QUEUE,
      connection: this.#connection,
      book: this.#books.path(name),
      seed: this.#random.between(1, 1_000_000),
      without: this.options.without,
    }
    return new Client(spec, this.#book, inside)
  }

  async #stranger(node: string): Promise<Client> {
    const inside = this.options.cluster.network?.inside(node) ?? []
    const stranger = this.#client(`stranger${this.#strangers++}`, true, true, inside)
    await stranger.start()
    return stranger
  }

  /** Waits until the queue holds nothing and all that was acknowledged has run; what still has not in the end is lost. */
  async #drained(fault: string): Promise<Entry[]> {
    const entries: Entry[] = []
    let failure: unknown
    try {
      await until('the queue is empty and nothing is being run', DRAIN_MS, async () => {
        const { ready, active, scheduled } = await this.#queue.depth()
        entries.push(...this.#books.news())
        const held = ready.high + ready.medium + ready.low + active + scheduled
        // What a producer is about to store again, since its master came back without it, is nowhere else yet.
        return held === 0 && !anyRunning(entries) && check(entries).lost.length === 0
      })
    } catch (error) {
      failure = error
    }
    this.#book.write({ what: 'healthy', fault })
    entries.push(...this.#books.news())
    // Not drained, and yet nothing is lost so far: the tasks may be there still, and that is a failure of its own.
    if (failure && check(entries).lost.length === 0) throw failure
    return entries
  }

  /** Tasks that were accounted for before, and run again. */
  #ghosts(entries: readonly Entry[]): Violation[] {
    const tokens = new Set(entries.flatMap((entry) => ('token' in entry ? [entry.token] : [])))
    const ghosts = [...tokens].filter((token) => this.#settled.has(token))
    for (const token of tokens) this.#settled.add(token)
    return ghosts.length > 0
      ? [{ what: `${ghosts.length} run again after all was drained`, tokens: ghosts }]
      : []
  }
}

/** Whether a live process runs a task, or waits for its completion. */
function anyRunning(entries: readonly Entry[]): boolean {
  const running = new Map<string, Set<string>>()
  const stopped = new Set<string>()
  for (const entry of entries) {
    if (entry.what === 'run') running.set(entry.by, (running.get(entry.by) ?? new Set()).add(entry.token))
    if (entry.what === 'completed' || entry.what === 'refused') running.get(entry.by)?.delete(entry.token)
    if (entry.what === 'stopped') stopped.add(entry.process)
    if (entry.what === 'resumed') stopped.delete(entry.process)
  }
  return [...running].some(([by, tokens]) => tokens.size > 0 && !stopped.has(by))
}
