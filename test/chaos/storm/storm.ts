import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ConnectionOptions } from '../../../src/connection/options.js'
import { TaskQueue } from '../../../src/index.js'
import {
  check,
  type Entry,
  type Fact,
  type FaultFindings,
  type FileBook,
  type Findings,
  ledgerOffsetMs,
} from '../../../src/ledger/index.js'
import type { Depth } from '../../../src/queue/inspection.js'
import { describeFault } from '../../../src/queue/verify/report.js'
import { Books } from './books.js'
import { Client } from './clients.js'
import { nameOf, type StormCluster, shardsOf, until } from './cluster.js'
import { FAULTS, type FaultKind, type FaultName, type Stage } from './faults.js'
import { judge, judgeFault, type Violation } from './judge.js'
import type { Protection } from './messages.js'
import { Random } from './random.js'
import { Running } from './running.js'

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
const LATE_ROUND_MS = 60_000
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
  /** Of each producer: how many of its tokens were accounted for. */
  readonly #settled = new Map<string, number>()
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
      const taken = new Set<string | Client>()
      const together = blow.map((kind) => ({
        ...{ kind, name: `${kind} #${++this.#blows}` },
        steps: [] as string[],
      }))
      try {
        await Promise.all(
          together.map(({ kind, name, steps }) => {
            const fault: FaultKind = FAULTS[kind]
            return fault.run(this.#stage(name, steps, taken))
          }),
        )
        await this.options.cluster.whole(WHOLE_MS)
      } catch (error) {
        const story = together.map(({ name, steps }) => `${name}: ${steps.join('; ')}`).join('\n')
        throw new Error(`the storm cannot go on after\n${story}`, { cause: error })
      }
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

  /**
   * Replicas that are late, one after the other or several at once, for so long, and until all is drained; and nothing else. An account
   * after every minute of work. @returns how many times any were late
   */
  async lateOnly(forMs: number, onRound: (round: Round, workedMs: number) => void): Promise<number> {
    const stop = new AbortController()
    const late = this.#keepLate(stop.signal)
    try {
      for (let leftMs = forMs; leftMs > 0; leftMs -= LATE_ROUND_MS) {
        const startedMs = performance.now()
        for (const producer of this.#producers) producer.go()
        // A failure to make them late ends the run.
        await Promise.race([sleep(Math.min(leftMs, LATE_ROUND_MS)), late])
        const workedMs = performance.now() - startedMs
        const account = await this.#account()
        onRound({ results: [], ...account, tookMs: performance.now() - startedMs }, workedMs)
      }
    } finally {
      stop.abort()
    }
    const times = await late
    await this.options.cluster.whole(WHOLE_MS)
    return times
  }

  /**
   * Clients are at work for as long as something else is done to the cluster; then all is accounted for.
   * @param work given what writes down in the ledger what it does
   */
  async during(work: (note: (fact: Fact) => void) => Promise<void>): Promise<Round> {
    const startedMs = performance.now()
    for (const producer of this.#producers) producer.go()
    await work((fact) => this.#book.write(fact))
    const account = await this.#account()
    return { results: [], ...account, tookMs: performance.now() - startedMs }
  }

  /** What the structural checker has against the queue while it is at work; what is wrong is told once. */
  async structure(): Promise<readonly Violation[]> {
    return this.#structure()
  }

  /** What the queue itself has counted; drained, it has as many that came as have an end. */
  async counted(): Promise<{ readonly enqueued: number; readonly ended: number }> {
    const { enqueued, completed, dead } = await this.#queue.stats()
    return { enqueued, ended: completed + dead }
  }

  async #keepLate(signal: AbortSignal): Promise<number> {
    const { cluster } = this.options
    const replicas = (await shardsOf(cluster)).flatMap((shard) => shard.replicas)
    let times = 0
    for (; !signal.aborted; times++) {
      const names = this.#random
        .shuffle(replicas)
        .slice(0, this.#random.between(1, replicas.length))
        .map(nameOf)
      for (const node of names) await cluster.freeze(node)
      const step = `froze ${names.join(', ')}`
      this.#book.write({ what: 'fault', fault: 'late replicas', step, nodes: false })
      await sleep(this.#random.between(100, 500))
      for (const node of names) await cluster.resume(node)
      await sleep(this.#random.between(20, 300))
    }
    return times
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

  #stage(name: string, steps: string[], taken: Set<string | Client>): Stage {
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
    const running = new Running()
    let dead = new Set<string>()
    let left = ''
    let leastHeld = Number.POSITIVE_INFINITY
    const collect = () => {
      // One by one: as the arguments of one call they would be too many.
      for (const entry of this.#books.news()) {
        entries.push(entry)
        running.add(entry)
      }
    }
    let deadline = performance.now() + DRAIN_MS
    for (;;) {
      const { ready, active, scheduled } = await this.#depth()
      collect()
      const waiting = ready.high + ready.medium + ready.low
      const held = waiting + active + scheduled
      // A backlog may take its time, as long as it becomes less.
      if (held < leastHeld) {
        leastHeld = held
        deadline = performance.now() + DRAIN_MS
      }
      const now = running.all
      if (held === 0 && now.length === 0) {
        dead = await this.#dead()
        // What a producer is about to store again, since its master came back without it, is nowhere else yet.
        if (check(entries, dead).lost.length === 0 || performance.now() > deadline) return { entries, dead }
      } else {
        const runs = now.slice(0, MOST_STORIES).join(', ') || 'none'
        left = `ready ${waiting}, active ${active}, scheduled ${scheduled}; run and not ended: ${runs}`
        // What is lost cannot be told from what is there still.
        if (performance.now() > deadline) throw new Error(`not drained within ${DRAIN_MS} ms: ${left}`)
      }
      await sleep(20)
    }
  }

  /** A shard may be out of reach for another moment. */
  async #depth(): Promise<Depth> {
    let depth: Depth | undefined
    await until('the queue tells its depth', DRAIN_MS, async () => {
      depth = await this.#queue.depth()
      return true
    })
    if (!depth) throw new Error('the queue told no depth')
    return depth
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
    const ghosts: string[] = []
    const counts = new Map<string, number>()
    for (const token of tokens) {
      const dash = token.lastIndexOf('-')
      const producer = token.slice(0, dash)
      const number = Number(token.slice(dash + 1))
      if (number < (this.#settled.get(producer) ?? 0)) ghosts.push(token)
      counts.set(producer, Math.max(number + 1, counts.get(producer) ?? 0))
    }
    for (const [producer, count] of counts)
      this.#settled.set(producer, Math.max(count, this.#settled.get(producer) ?? 0))
    return ghosts.length > 0
      ? [{ what: `${ghosts.length} run again after all was drained`, tokens: ghosts }]
      : []
  }
}

const NONE = { inFlight: 0, repeats: 0, enqueues: 0, rejected: 0, p99Ms: 0, longestMs: 0 }

/** Of faults that strike together a task may meet one after the other. */
function allowedBy(kinds: readonly FaultName[]): Pick<FaultKind, 'mayReject' | 'stallMs'> {
  const faults: FaultKind[] = kinds.map((kind) => FAULTS[kind])
  const stallMs = faults.reduce((sum, fault) => sum + fault.stallMs, 0)
  return faults.some(({ mayReject }) => mayReject) ? { stallMs, mayReject: true } : { stallMs }
}

/** @param fault `<kind> #<number>` */
function cutsLinks(fault: string): boolean {
  const kind: FaultKind | undefined = FAULTS[fault.split(' ')[0] as FaultName]
  return kind?.cutsLinks === true
}
