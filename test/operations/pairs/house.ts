import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { backupCluster, inspectAny } from '../../../src/cluster/index.js'
import { type Fact, isOfCopy } from '../../../src/ledger/index.js'
import { judgeFault } from '../../chaos/storm/judge.js'
import { stormClusterOf } from '../../chaos/storm/local-storm-cluster.js'
import { Storm } from '../../chaos/storm/storm.js'
import { Servers } from '../common/servers.js'
import type { Work } from '../common/work.js'
import type { Pair } from './choose.js'
import { Foreign, type ForeignAccount } from './foreign/index.js'
import { ACCESS, mend, structureOf, untrueEndings } from './mend.js'
import { type Ending, operate } from './operate.js'
import { faultsOf } from './refusals.js'
import { workFor } from './work-for.js'

/** Two servers that are not in the cluster. */
const SPARES = 2
/** As servers have it by default, so that a busy machine makes no failover. */
const NODE_TIMEOUT_MS = 5_000
/** Tasks per second. */
const RATE = 40

export interface HouseOptions {
  readonly seed: number
  readonly redisPath: string | undefined
}

export interface PairResult {
  readonly pair: Pair
  readonly works: readonly Work[]
  readonly endings: readonly Ending[]
  /** What happened, with the seconds since the pair began. */
  readonly story: readonly string[]
  readonly mended: readonly string[]
  readonly faults: readonly string[]
  readonly ms: number
}

export interface RoundResult {
  readonly pairs: readonly PairResult[]
  readonly tasks: {
    readonly acknowledged: number
    readonly rejected: number
    readonly lost: number
    readonly repeated: number
  }
  /** Of the whole life of this cluster. */
  readonly foreign: ForeignAccount
  readonly faults: readonly string[]
}

/** A cluster under load, to which two operators at a time do something. */
export class House {
  readonly #ending = new AbortController()
  /** Tasks that were stored twice, while it was not known whether the first was there. */
  #copies = 0

  private constructor(
    private readonly options: HouseOptions,
    private readonly servers: Servers,
    private readonly storm: Storm,
    private readonly foreign: Foreign,
    private readonly folder: string,
    private readonly restartCommand: string,
    private readonly ends: readonly (() => Promise<void>)[],
  ) {}

  static async open(options: HouseOptions): Promise<House> {
    const ends: (() => Promise<void>)[] = []
    try {
      const folder = await mkdtemp(join(tmpdir(), 'shardq-pairs-'))
      ends.unshift(() => rm(folder, { recursive: true, force: true }))
      const servers = await Servers.open(SPARES, options.redisPath, NODE_TIMEOUT_MS)
      ends.unshift(() => servers.end())
      const { cluster } = servers
      const storm = await Storm.start({
        cluster: stormClusterOf(cluster, async () => {}),
        ...{ nodeTimeoutMs: NODE_TIMEOUT_MS, seed: options.seed, rate: RATE },
      })
      ends.unshift(() => storm.stop())
      const foreign = await Foreign.start({ seeds: cluster.seeds, seed: options.seed })
      ends.unshift(() => foreign.end())
      const restartCommand = await servers.restartCommand(join(folder, 'restart.sh'))
      const house = new House(options, servers, storm, foreign, folder, restartCommand, ends)
      // One that has keys.
      await storm.during(async () => {
        await backupCluster(cluster.seeds, house.#backup, ACCESS)
      })
      return house
    } catch (error) {
      for (const end of ends) await end()
      throw error
    }
  }

  /** The round that is under way fails, once its two operators are ended. */
  interrupt(): void {
    this.#ending.abort()
  }

  async end(): Promise<void> {
    for (const end of this.ends) await end()
  }

  /** Pair after pair, until one has a fault; and then the account of every task and every key. */
  async round(pairs: readonly Pair[], onPair: (result: PairResult) => void): Promise<RoundResult> {
    const results: PairResult[] = []
    this.foreign.go()
    const { findings, violations, stories } = await this.storm.during(async (note) => {
      for (const pair of pairs) {
        const result = await this.#pair(pair, note)
        results.push(result)
        onPair(result)
        if (result.faults.length > 0) break
      }
    })
    const { enqueued, ended } = await this.storm.counted()
    this.#copies += findings.repeats.filter(({ reason }) => isOfCopy(reason)).length
    // A copy that had died already has ended, and counts no more as enqueued once it is taken back.
    const isCounted = enqueued <= ended && ended <= enqueued + this.#copies
    const foreign = await this.foreign.account()
    const rejected = findings.faults.flatMap((fault) =>
      judgeFault(fault, { stallMs: Number.POSITIVE_INFINITY }).map(({ what }) => `${fault.fault}: ${what}`),
    )
    return {
      pairs: results,
      tasks: {
        ...{ acknowledged: findings.acknowledged, rejected: findings.rejected },
        ...{ lost: findings.lost.length, repeated: findings.repeats.length },
      },
      foreign,
      faults: [
        ...violations.map(({ what, tokens }) => `tasks: ${what} ${tokens.slice(0, 3).join(' ')}`),
        ...stories.flat().map((entry) => JSON.stringify(entry)),
        ...rejected,
        ...(isCounted ? [] : [`the queue counts ${enqueued} tasks that came, and ${ended} that ended`]),
        ...foreign.lost.map((lost) => `a key of others: ${JSON.stringify(lost)}`),
      ],
    }
  }

  /** What nodes have written into their logs, and who they think there is, where it outlives them. @returns the folder */
  async keep(): Promise<string> {
    const kept = await mkdtemp(join(tmpdir(), 'shardq-pairs-kept-'))
    for (const dir of this.servers.folders) {
      const to = join(kept, dir.slice(dir.lastIndexOf('/') + 1))
      await mkdir(to)
      for (const file of ['redis.log', 'nodes.conf', 'redis.conf'])
        await cp(join(dir, file), join(to, file), { force: true }).catch(unlessMissing)
    }
    await cp(this.storm.folder, join(kept, 'ledgers'), { recursive: true })
    return kept
  }

  get #backup(): string {
    return join(this.folder, 'backup')
  }

  async #pair(pair: Pair, note: (fact: Fact) => void): Promise<PairResult> {
    const beganMs = performance.now()
    const fault = `pair #${pair.number}`
    const story: string[] = []
    const { servers } = this
    const status = await inspectAny(servers.cluster.seeds, ACCESS)
    const place = {
      ...{ servers, status, folder: this.folder, backup: this.#backup },
      ...{ restartCommand: this.restartCommand, redisPath: this.options.redisPath },
    }
    const works = pair.choices.map((choice) => workFor(choice, place))
    const tell = (who: string, step: string, nodes: boolean) => {
      // Of each slot, and of every hundred keys: the ledger has them.
      if (!step.startsWith('moving '))
        story.push(`${((performance.now() - beganMs) / 1_000).toFixed(1)} s ${who}: ${step}`)
      note({ what: 'fault', fault, step: `${who}: ${step}`, nodes })
    }
    const endings = await Promise.all(
      pair.choices.map((choice, i) => {
        const who = `${'AB'[i]} ${choice.operation}`
        const onStep = (step: string, nodes = false) => tell(who, step, nodes)
        return operate(choice, works[i] as Work, servers.cluster.seeds, onStep, this.#ending.signal).then(
          (ending) => {
            onStep(ending.end === 'failed' ? `${ending.name}: ${ending.message}` : ending.end)
            return ending
          },
        )
      }),
    )
    this.#ending.signal.throwIfAborted()
    const mended: string[] = []
    const onMend = (step: string) => {
      mended.push(step)
      tell('on call', step, true)
    }
    const faults = pair.choices.flatMap((choice, i) => faultsOf(choice, endings[i] as Ending))
    try {
      faults.push(
        ...(await mend(servers, onMend)),
        ...(await structureOf(servers)),
        ...(await untrueEndings(works, endings, servers)),
        ...(await this.storm.structure()).map(({ what }) => what),
      )
    } catch (error) {
      faults.push(`what was left could not be mended, or looked at: ${(error as Error).stack}`)
    }
    note({ what: 'healthy', fault })
    for (const work of works)
      if (work.operation === 'backup') await rm(work.folder, { recursive: true, force: true })
    return { pair, works, endings, story, mended, faults, ms: performance.now() - beganMs }
  }
}

function unlessMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error
}
