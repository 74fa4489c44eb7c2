import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ConnectionOptions } from '../../../src/connection/options.js'
import { TaskQueue } from '../../../src/index.js'
import {
  check,
  type Entry,
  type FaultFindings,
  type FileBook,
  type Findings,
  ledgerOffsetMs,
} from '../../../src/ledger/index.js'
import { describeFault } from '../../../src/queue/verify/report.js'
import { Books } from './books.js'
import { Client } from './clients.js'
import { nameOf, type StormCluster, shardsOf, until } from './cluster.js'
import { FAULTS, type FaultKind, type FaultName, type Stage } from './faults.js'
import { judge, judgeFault, type Violation } from './judge.js'
import type { Protection } from './messages.js'
import { Random } from './random.js'

export interface StormOptions {
  readonly cluster: StormCluster
  readonly nodeTimeoutMs: number
  readonly seed: number
  readonly without?: Protection
  /** Ms of work before each fault. Default 300. */
  readonly calmMs?: number
  /** Tasks per second that all producers enqueue, about. Default 880. */
  readonly rate?: number
  /** Handlers that take longer and fail oftener. */
  readonly slow?: boolean
}

/** Faults that strike at the same time. */
export type Blow = readonly FaultName[]

export interface Result {
  readonly kind: FaultName
  readonly steps: readonly string[]
  readonly tookMs: number
  readonly findings: FaultFindings
  readonly violations: readonly Violation[]
}

/** Some blows, and the account of all tasks after them. */
export interface Round {
  readonly results: readonly Result[]
  readonly tookMs: number
  readonly findings: Findings
  /** What no fault alone is to blame for. */
  readonly violations: readonly Violation[]
  /** All entries of the tokens that violations name, at most five. */
  readonly stories: readonly (readonly Entry[])[]
}

const QUEUE = 'storm'
const PRODUCERS = 2
const WORKERS = 2
const CALM_MS = 300
/** Tasks of a dead worker wait for its lease (3 s), and those of a dead shard for its failover. */
const DRAIN_MS = 40_000
const WHOLE_MS = 60_000
const MOST_STORIES = 5

/** Clients at work on a cluster, and faults, after which every task is accounted for. */
export class Storm {
  readonly #random: Random
  readonly #books: Books
  readonly #book: FileBook
  readonly #connection: ConnectionOptions
  readonly #producers: Client[] = []
  readonly #workers: Client[] = []
  readonly #queue: TaskQueue<{ note: { token: string } }>
  /** Tokens of rounds that were accounted for. */
  readonly #settled = new Set<string>()
  /** Faults of the structure, by kind and partition. */
  readonly #told = new Set<string>()
  #strangers = 0
  #blows = 0

  private constructor(
    private readonly options: StormOptions,
    folder: string,
  ) {
    this.#random = new Random(options.seed)
    this.#books = new Books(folder)
    this.#book = this.#books.open('storm')
    this.#connection = { mode: 'cluster', nodes: options.cluster.seeds }
    this.#queue = new TaskQueue(QUEUE, { connection: this.#connection, results: { ttlMs: 2_000 } })
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

  /** One fault, and its account. */
  fault(name: FaultName): Promise<Round> {
    return this.round([[name]])
  }

  /**
   * Blow after blow, with the cluster whole in between; and then one account of all. The queue is drained once for all of them, which
   * takes longer than most faults.
   */
  async round(blows: readonly Blow[]): Promise<Round> {
    const startedMs = performance.now()
    for (const producer of this.#producers) producer.go()
    const struck: {
      name: string
      kind: FaultName
      beside: readonly FaultName[]
      steps: string[]
      tookMs: number
      problems: Violation[]
    }[] = []
    for (const blow of blows) {
      const fromMs = performance.now()
      await sleep(this.options.calmMs ?? CALM_MS)
      const taken = new Set<string>()
      const together = blow.map((kind) => ({
        ...{ kind, name: `${kind} #${++this.#blows}` },
        steps: [] as string[],
      }))
      await Promise.all(
        together.map(({ kind, name, steps }) => {
          const fault: FaultKind = FAULTS[kind]
          return fault.run(this.#stage(name, steps, taken))
        }),
      )
      await this.options.cluster.whole(WHOLE_MS)
      for (const { name } of together) this.#book.write({ what: 'healthy', fault: name })
      const problems = await this.#structure()
      const tookMs = performance.now() - fromMs
      struck.push(...together.map((each) => ({ ...each, beside: blow, tookMs, problems })))
    }
    await sleep(this.options.calmMs ?? CALM_MS)
    const { findings, violations, stories } = await this.#account()
    const results = struck.map(({ name, kind, beside, steps, tookMs, problems }) => {
      const own = findings.faults.find(({ fault }) => fault === name) ?? { ...NONE, fault: name }
      return {
        kind,
        steps,
        tookMs,
        findings: own,
        violations: [...judgeFault(own, allowedBy(beside)), ...problems],
      }
    })
    return { results, findings, violations, stories, tookMs: performance.now() - startedMs }
  }

  /** Replicas that are late, one after the other or several at once, for so long; and nothing else. */
  async lateOnly(forMs: number, onStep: (step: string) => void): Promise<Round> {
    const startedMs = performance.now()
    const name = 'late replicas'
    for (const producer of this.#producers) producer.go()
    let rounds = 0
    while (performance.now() - startedMs < forMs) {
      const replicas = (await shardsOf(this.options.cluster)).flatMap((shard) => shard.replicas)
      const some = this.#random.shuffle(replicas).slice(0, this.#random.between(1, replicas.length))
      const names = some.map(nameOf)
      for (const node of names) await this.options.cluster.freeze(node)
      this.#book.write({ what: 'fault', fault: name, step: `froze ${names.join(', ')}`, nodes: false })
      await sleep(this.#random.between(100, 500))
      for (const node of names) await this.options.cluster.resume(node)
      await sleep(this.#random.between(20, 300))
      if (++rounds % 20 === 0)
        onStep(`${rounds} times late, ${Math.round((performance.now() - startedMs) / 1000)} s`)
    }
    await this.options.cluster.whole(WHOLE_MS)
    this.#book.write({ what: 'healthy', fault: name })
    const account = await this.#account()
    return { results: [], ...account, tookMs: performance.now() - startedMs }
  }

  /** Drains the queue, and accounts for all tasks since the last time. */
  async #account(): Promise<Pick<Round, 'findings' | 'violations' | 'stories'>> {
    await Promise.all(this.#producers.map((producer) => producer.pause()))
    const { entries, dead } = await this.#drained()
    const findings = check(entries, dead)
    const violations = [...judge(findings, cutsLinks), ...(await this.#structure()), ...this.#ghosts(entries)]
    // Of the dead letters account has been given.
    if (dead.size > 0) await this.#queue.deadLetters.purge()
    const tokens = [...new Set(violations.flatMap((each) => each.tokens))].slice(0, MOST_STORIES)
    const stories = tokens.map((token) =>
      entries.filter((entry) => 'token' in entry && entry.token === token),
    )
    return { findings, violations, stories }
  }

  #stage(name: string, steps: string[], taken: Set<string>): Stage {
    const { cluster, nodeTimeoutMs } = this.options
    return {
      ...{ cluster, nodeTimeoutMs, taken, queue: QUEUE, random: this.#random },
      ...{ producers: this.#producers, workers: this.#workers },
      stranger: (node) => this.#stranger(node),
      strike: (step, nodes = true) => {
        steps.push(step)
        this.#book.write({ what: 'fault', fault: name, step, nodes })
      },
    }
  }

  /** What the checker has against the queue, at work or not; what is wrong stays so, and is told once. */
  async #structure(): Promise<Violation[]> {
    const { faults } = await this.#queue.verify()
    const fresh = faults.filter(({ kind, partition }) => !this.#told.has(`${kind} ${partition}`))
    for (const { kind, partition } of fresh) this.#told.add(`${kind} ${partition}`)
    return fresh.map((fault) => ({ what: `structure: ${describeFault(fault)}`, tokens: [] }))
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
      ledgerOffsetMs: ledgerOffsetMs(),
      rate: this.options.rate === undefined ? undefined : this.options.rate / PRODUCERS,
      slow: this.options.slow,
    }
    return new Client(spec, this.#book, inside)
  }

  async #stranger(node: string): Promise<Client> {
    const inside = this.options.cluster.network?.inside(node) ?? []
    const stranger = this.#client(`stranger${this.#strangers++}`, true, true, inside)
    await stranger.start()
    return stranger
  }

  /**
   * Waits until the queue holds nothing but dead letters, and every task that was acknowledged has its end; what has none in the end is
   * lost. @returns the tokens of the dead letters, besides
   */
  async #drained(): Promise<{ entries: Entry[]; dead: ReadonlySet<string> }> {
    const entries: Entry[] = []
    let dead = new Set<string>()
    let failure: unknown
    let left = ''
    const collect = () => {
      // One by one: as the arguments of one call they would be too many.
      for (const entry of this.#books.news()) entries.push(entry)
    }
    try {
      await until('the queue is empty and nothing is being run', DRAIN_MS, async () => {
        const { ready, active, scheduled } = await this.#queue.depth()
        collect()
        const held = ready.high + ready.medium + ready.low + active + scheduled
        const running = runningOf(entries)
        if (held !== 0 || running.length > 0) {
          left = `ready ${ready.high + ready.medium + ready.low}, active ${active}, scheduled ${scheduled}; run and not ended: ${running.slice(0, MOST_STORIES).join(', ') || 'none'}`
          return false
        }
        left = ''
        dead = await this.#dead()
        // What a producer is about to store again, since its master came back without it, is nowhere else yet.
        return check(entries, dead).lost.length === 0
      })
    } catch (error) {
      failure = error
    }
    collect()
    // Not drained, and yet nothing is lost so far: the tasks may be there still, and that is a failure of its own.
    if (failure && check(entries, dead).lost.length === 0)
      throw new Error(`not drained: ${left}`, { cause: failure })
    return { entries, dead }
  }

  async #dead(): Promise<Set<string>> {
    const tokens = new Set<string>()
    for (let cursor: string | null = null; ; ) {
      const page = await this.#queue.deadLetters.list({ limit: 500, cursor })
      for (const { data } of page.items) tokens.add((data as { token: string }).token)
      cursor = page.cursor
      if (cursor === null) return tokens
    }
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

const ENDS: ReadonlySet<string> = new Set(['completed', 'refused', 'failed', 'dead'])
const NONE = { inFlight: 0, repeats: 0, enqueues: 0, rejected: 0, p99Ms: 0, longestMs: 0 }

/** What live processes run, or of which they await the completion: `<process> <token> <attempt>`. */
function runningOf(entries: readonly Entry[]): string[] {
  const running = new Map<string, Map<string, number>>()
  const stopped = new Set<string>()
  for (const entry of entries) {
    const name = 'attempt' in entry ? `${entry.token} ${entry.attempt}` : ''
    const change = entry.what === 'run' ? 1 : ENDS.has(entry.what) ? -1 : 0
    if (change !== 0) {
      const runs = running.get(entry.by) ?? new Map<string, number>()
      running.set(entry.by, runs.set(name, (runs.get(name) ?? 0) + change))
    }
    if (entry.what === 'stopped') stopped.add(entry.process)
    if (entry.what === 'resumed') stopped.delete(entry.process)
  }
  return [...running].flatMap(([by, names]) =>
    stopped.has(by) ? [] : [...names].flatMap(([name, count]) => (count > 0 ? [`${by} ${name}`] : [])),
  )
}

/** Of faults that strike together producers may wait, and be refused, as the worst of them has it. */
function allowedBy(kinds: readonly FaultName[]): Pick<FaultKind, 'mayReject' | 'stallMs'> {
  const faults: FaultKind[] = kinds.map((kind) => FAULTS[kind])
  const stallMs = Math.max(...faults.map((fault) => fault.stallMs))
  return faults.some(({ mayReject }) => mayReject) ? { stallMs, mayReject: true } : { stallMs }
}

/** @param fault `<kind> #<number>` */
function cutsLinks(fault: string): boolean {
  const kind: FaultKind | undefined = FAULTS[fault.split(' ')[0] as FaultName]
  return kind?.cutsLinks === true
}
