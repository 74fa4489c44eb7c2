/**
 * `npm run operations:faults -- [--operation NAME,NAME] [--kinds tool,source,target,link,pause] [--at N | --from N] [--step K]
 * [--parts P] [--at-once M] [--redis-path PATH]`: an operation on a cluster of its own is broken off before its calls in turn. Then
 * `cluster fix` runs, every key and every task must be where it belongs, as it was; and the operation, done once more, must come to
 * its end, and the same hold. With `--parts`, so many clusters share the points of an operation and a fault; `--at-once` of all run
 * at the same time.
 */
import { parseArgs } from 'node:util'
import { nameOf, planFix } from '../../../src/cluster/index.js'
import { eventually } from '../../helpers/behaviour/harness.js'
import { tell } from '../../helpers/nodes.js'
import { Servers } from '../common/servers.js'
import { mastersOf } from '../common/strays.js'
import { carryOut, type Work } from '../common/work.js'
import { breakOff, callsOf, KINDS, type Kind } from './break-off.js'
import { pointsOf } from './calls.js'
import { interrupt, unlessInterrupted } from './interrupt.js'
import { type Scene, setScene } from './scene.js'
import { type Attempt, TRIALS, type Trial, type TriedName } from './trials.js'

const NAMES = Object.keys(TRIALS) as TriedName[]

const { values: flags } = parseArgs({
  options: {
    operation: { type: 'string', default: NAMES.join() },
    kinds: { type: 'string', default: 'tool,source,target,link' },
    at: { type: 'string' },
    from: { type: 'string', default: '1' },
    step: { type: 'string', default: '1' },
    parts: { type: 'string', default: '1' },
    'at-once': { type: 'string', default: '1' },
    'redis-path': { type: 'string' },
  },
})
const say = (text: string) => void process.stdout.write(`${text}\n`)
const redisPath = flags['redis-path']
/** Of one job, until it is given up. */
const MOST_CLUSTERS = 5
/** Of an operation that was broken off, where its refusal says that the same command goes on. */
const MOST_TRIES = 3
const parts = Number(flags.parts)
const totals = { points: 0, notReached: 0, bad: 0 }

/** What one cluster is used for: of one operation and one kind of fault every point, or every so many. */
interface Job {
  readonly operation: TriedName
  readonly kind: Kind
  readonly part: number
}

/** Every point of a job. */
class Faults {
  constructor(
    private readonly job: Job,
    private readonly servers: Servers,
    private readonly scene: Scene,
    private readonly trial: Trial,
  ) {}

  /** @returns the point at which something was found: what followed would be told of a cluster that is broken already. 0: none */
  async run(from: number): Promise<number> {
    const { kind, operation, part } = this.job
    const first = await this.trial.prepare()
    // A bare move has no lock.
    if (kind === 'pause' && operation === 'move') return 0
    if (kind === 'source' && first.source === undefined) return 0
    const calls = await callsOf(first.work, this.servers.cluster.seeds)
    const found = [...(await first.done()), ...(await this.scene.faults())]
    if (found.length > 0) throw new Error(`${operation}, without any fault: ${found.join('; ')}`)
    const all = pointsOf(calls, kind === 'tool' || kind === 'pause').filter((_, i) => i % parts === part)
    const points =
      flags.at === undefined
        ? all.filter((at, i) => at >= from && i % Number(flags.step) === 0)
        : [Number(flags.at)].filter((at) => at >= from)
    say(`${operation} ${kind}: ${points.length} points, which stand for ${calls.length} calls`)
    for (const at of points) {
      await this.#allFollowed()
      const beganMs = performance.now()
      const attempt = await this.trial.prepare()
      await this.#allFollowed()
      const broken = await breakOff(kind, at, attempt, this.servers, this.scene)
      const { mended, faults } = await this.#account(attempt, broken.end)
      totals.points++
      if (broken.call === undefined) totals.notReached++
      const ms = Math.round(performance.now() - beganMs)
      const fixed = mended.length === 0 ? '' : ` fix: ${mended.join(' ')};`
      const mark = faults.length === 0 ? '✓' : '✗'
      say(`${mark} ${operation} ${kind} ${at} ${broken.call ?? '(not reached)'};${fixed} ${ms} ms`)
      if (faults.length === 0) continue
      for (const each of faults) say(`    ${each}`)
      say(`    the operation: ${broken.end}`)
      say(`    files of the nodes: ${await this.servers.keep()}`)
      totals.bad++
      return at
    }
    return 0
  }

  /** @returns what `fix` did, and what is wrong after it, or after the operation was done once more */
  async #account(
    { work, again, done }: Attempt,
    end: string,
  ): Promise<{ mended: string[]; faults: string[] }> {
    const mended: string[] = []
    const { isWholeAfterFix, notes } = this.trial
    await this.#allUp()
    const after = [...(await this.#fix(mended)), ...(isWholeAfterFix ? await this.scene.faults(notes) : [])]
    if (after.length > 0) return { mended, faults: after.map((each) => `after fix: ${each}`) }
    if (work.operation === 'move' || work.operation === 'fix') return { mended, faults: [] }
    for (let tries = 1; ; tries++) {
      try {
        const next = again ? await again(end) : work
        if (next) await carryOut(next, this.servers.cluster.seeds)
        break
      } catch (error) {
        if (isOver(work.operation, error as Error)) break
        if (tries < MOST_TRIES && isToBeRepeated(error as Error)) continue
        return { mended, faults: [`once more: ${(error as Error).message}`] }
      }
    }
    await this.#allUp()
    return {
      mended,
      faults: [...(await done()), ...(await this.#fix(mended)), ...(await this.scene.faults())].map(
        (each) => `in the end: ${each}`,
      ),
    }
  }

  /** Nodes that were killed have come back, and every one of them serves. */
  async #allUp(): Promise<void> {
    await eventually(async () => {
      const { nodes } = await this.servers.cluster.status()
      const down = nodes.filter(({ flags }) => flags.length > 0)
      if (down.length > 0) throw new Error(`${down.map(({ port, flags }) => `${port} is ${flags}`)}`)
    }, 20_000)
  }

  /**
   * Every fault is one fault: what is on a master alone is lost with it, whatever is done. An old master that comes back may follow whoever got its last slot,
   * and only 5 s later the one that was promoted in its place.
   */
  async #allFollowed(): Promise<void> {
    await eventually(async () => {
      const masters = (await mastersOf(this.servers.cluster)).filter(({ slots }) => slots.length > 0)
      for (const { port, name } of masters)
        if (!/^slave\d+:.*state=online/m.test(await tell(port, 'INFO', 'replication')))
          throw new Error(`no replica follows ${name}`)
    }, 40_000)
  }

  /** @returns what it could not mend */
  async #fix(mended: string[]): Promise<string[]> {
    let left: string[] = []
    for (let tries = 0; tries < 3; tries++) {
      const report = await (await planFix(this.servers.cluster.seeds)).run({ evenIfChanged: true })
      mended.push(...report.done.map(({ kind }) => kind))
      left = report.left.map(({ what, why }) => `${what}: ${why}`)
      if (left.length === 0 && report.agreed) break
    }
    for (const node of this.servers.cluster.seeds)
      await eventually(async () => {
        const info = await tell(node.port, 'CLUSTER', 'INFO')
        if (!info.includes('cluster_state:ok')) throw new Error(`${nameOf(node)} says cluster_state:fail`)
      }, 20_000)
    return left
  }
}

/** A removal that is done finds no node to remove. */
const isOver = (operation: Work['operation'], { message }: Error) =>
  operation === 'remove-node' && /the cluster has no node/.test(message)

/** As whoever reads it would do. */
const isToBeRepeated = ({ message }: Error) => /the same command goes on/.test(message)

/** A cluster in which something was found is not used on. */
async function faultsOf(job: Job): Promise<void> {
  let from = Number(flags.from)
  for (let clusters = 0; clusters < MOST_CLUSTERS; clusters++) {
    const found = await faultsFrom(job, from)
    if (found === 0) return
    from = found + 1
  }
  throw new Error(
    `${job.operation} ${job.kind}: found something in ${MOST_CLUSTERS} clusters, and ended at ${from}`,
  )
}

async function faultsFrom(job: Job, from: number): Promise<number> {
  const { operation } = job
  const needsSpares = operation === 'add-node' || operation === 'remove-node'
  const servers = await Servers.open(needsSpares ? 2 : 0, redisPath)
  let trial: Trial | undefined
  try {
    const scene = await setScene(servers.cluster)
    trial = await TRIALS[operation](servers, scene, redisPath)
    return await unlessInterrupted(new Faults(job, servers, scene, trial).run(from))
  } finally {
    await trial?.end?.()
    await servers.end()
  }
}

const startedMs = performance.now()
const waiting = NAMES.filter((each) => flags.operation.split(',').includes(each)).flatMap((operation) =>
  KINDS.filter((each) => flags.kinds.split(',').includes(each)).flatMap((kind) =>
    Array.from({ length: parts }, (_, part): Job => ({ operation, kind, part })),
  ),
)
let failed = 0
await Promise.all(
  Array.from({ length: Number(flags['at-once']) }, async () => {
    for (let job = waiting.shift(); job && !interrupt.signal.aborted; job = waiting.shift()) {
      try {
        await faultsOf(job)
      } catch (error) {
        if (interrupt.signal.aborted) return
        failed++
        say(`✗ ${job.operation} ${job.kind}: ${(error as Error).stack}`)
      }
    }
  }),
)
say(
  `${totals.points} points in ${Math.round((performance.now() - startedMs) / 1000)} s, ${totals.bad} bad, ` +
    `${totals.notReached} not reached, as the operation made fewer calls that time`,
)
// Where many are not reached, it had nothing to do.
const isClean =
  failed === 0 && !interrupt.signal.aborted && totals.bad === 0 && totals.notReached * 5 <= totals.points
// What was under way when it was interrupted still waits for servers that are gone.
process.exit(isClean ? 0 : 1)
