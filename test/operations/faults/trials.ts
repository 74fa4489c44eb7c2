import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  type Address,
  backupCluster,
  type LocalCluster,
  nameOf,
  planRebalance,
} from '../../../src/cluster/index.js'
import { OWED_KEY, RESTORE_KEY, ROLLING_KEY } from '../../../src/cluster/own-keys.js'
import { parseClusterNodes, parseFields } from '../../../src/cluster/replies.js'
import { eventually } from '../../helpers/behaviour/harness.js'
import { owns, tell, unlessUnassigned } from '../../helpers/nodes.js'
import type { Servers } from '../common/servers.js'
import { isPassing, type Master, mastersOf } from '../common/strays.js'
import { carryOut, type OperationName, type Work } from '../common/work.js'
import { killAt } from './break-off.js'
import type { Scene } from './scene.js'

/** What is broken off, and whom a fault hits. */
export interface Attempt {
  readonly work: Work
  /** Ports of nodes. Absent: the operation has no such node. */
  readonly source?: number
  readonly target?: number
  /** As it is typed then, where that is not the same: a name may be a replica's by now. Null: it was done, and is not done twice. */
  again?(end: string): Promise<Work | null>
  /** What has to be so when the operation was done once more in the end, besides every key and every task. @returns what is not */
  done(): Promise<string[]>
}

/** One kind of operation, on a cluster that all of its attempts share. */
export interface Trial {
  /** Brings the cluster to where the operation has something to do. */
  prepare(): Promise<Attempt>
  /** Whether what it leaves has to have every key already when `fix` is through, before the operation was done once more. */
  readonly isWholeAfterFix: boolean
  /** Keys in which it writes down how to go on, until it is at its end. */
  readonly notes?: readonly string[]
  end?(): Promise<void>
}

/** `create` is broken off in tests of its own; a backup and users are the same after it was done once more. */
export type TriedName = Exclude<OperationName, 'backup' | 'users apply' | 'create'>

export const TRIALS: Readonly<
  Record<TriedName, (servers: Servers, scene: Scene, redisPath?: string) => Promise<Trial>>
> = {
  move: async (_, scene) => ({
    isWholeAfterFix: true,
    async prepare() {
      const { from, to, masters, slots } = await scene.ends()
      const work: Work = { operation: 'move', slots, from, to, masters }
      return { work, source: from.port, target: to.port, done: async () => [] }
    },
  }),

  /** From the master that has most slots to the one that has fewest. */
  rebalance: async ({ cluster }) => ({
    isWholeAfterFix: true,
    async prepare() {
      // To the one from which they came the last time.
      const bySize = (await mastersOf(cluster)).sort((a, b) => slotCount(b) - slotCount(a))
      const [from, to] = [bySize[0], bySize.at(-1)]
      if (!from || !to) throw new Error('no two masters')
      const members = (await cluster.status()).nodes
      const shardOf = (master: Master) =>
        members.flatMap(({ id, masterId }) => (id === master.id || masterId === master.id ? [id] : []))
      const [sources, targets] = [shardOf(from), shardOf(to)]
      const now = async (): Promise<Extract<Work, { operation: 'rebalance' }>> => {
        const weights = (await mastersOf(cluster)).flatMap(({ id }) => [
          ...(sources.includes(id) ? [[id, 0.8]] : []),
          ...(targets.includes(id) ? [[id, 1.2]] : []),
        ])
        return { operation: 'rebalance', weights: Object.fromEntries(weights) }
      }
      const done = async () => {
        const { flows } = await planRebalance(cluster.seeds, { weights: (await now()).weights })
        return flows.map(
          ({ from, to, slotCount }) => `${slotCount} slots are still to go from ${from.name} to ${to.name}`,
        )
      }
      return { work: await now(), source: from.port, target: to.port, again: now, done }
    },
  }),

  /** A move that was broken off in the middle, and slots that nobody owns. */
  fix: async ({ cluster }, scene) => ({
    isWholeAfterFix: true,
    async prepare() {
      const { from, to, masters, slots } = await scene.ends()
      const work: Work = { operation: 'move', slots, from, to, masters }
      await killAt('MIGRATE', work, cluster.seeds)
      const free = from.slots.map(([, last]) => last).find((slot) => !slots.includes(slot))
      if (free !== undefined) await disown(cluster.seeds, free)
      return { work: { operation: 'fix' }, source: from.port, target: to.port, done: async () => [] }
    },
  }),

  /** A master and its replica, which get slots: a partition, and some without keys. */
  'add-node': async ({ cluster, spares }) => ({
    isWholeAfterFix: true,
    async prepare() {
      await removeSpares(cluster, spares)
      const { work, target } = await adding(spares)
      const [source] = await mastersOf(cluster)
      // Either may be the master by now.
      const again = async () => (await adding(await mastersFirst(cluster, spares))).work
      const done = async () => {
        const [master] = await mastersFirst(cluster, spares)
        return master && (await hasKeys(cluster, master.port)) ? [] : ['the new master has no keys']
      }
      return { work, target, ...(source ? { source: source.port } : {}), again, done }
    },
  }),

  'remove-node': async ({ cluster, spares }) => ({
    isWholeAfterFix: true,
    notes: [OWED_KEY],
    async prepare() {
      const { work: add, target: added } = await adding(spares)
      await carryOut(add, cluster.seeds)
      if (!(await hasKeys(cluster, added))) throw new Error('the node that is to be removed has no keys')
      const isSpare = ({ port }: { port: number }) => spares.some((spare) => spare.port === port)
      const masters = await mastersOf(cluster)
      const [node, other] = [masters.find(isSpare), masters.find((each) => !isSpare(each))]
      if (!node || !other) throw new Error('the node that is to be removed is no master')
      const done = async () => {
        const left = (await cluster.status()).nodes.filter(isSpare)
        return left.map((each) => `${nameOf(each)} is a node still`)
      }
      const removing = (each: Address, withReplicas: boolean): Work => ({
        operation: 'remove-node',
        node: each,
        withReplicas,
      })
      const again = async () => {
        const left = (await cluster.status()).nodes.filter(isSpare)
        // Forgotten by all, one may know them still: it is named, as whoever wants to use it again is told to.
        for (const each of spares.filter(({ port }) => !left.some((known) => known.port === port)))
          if (await knowsOthers(each)) await carryOut(removing(each, false), cluster.seeds)
        // Its replica may be the master by now.
        const master = left.find(({ role }) => role === 'master')
        if (master) return removing(master, true)
        // Emptied by `fix`, both may have become replicas of whoever got its last slot.
        const [last = node, ...others] = left
        for (const each of others) await carryOut(removing(each, false), cluster.seeds)
        return removing(last, false)
      }
      return {
        work: removing(node, true),
        source: node.port,
        target: other.port,
        again,
        done,
      }
    },
  }),

  restore: async ({ cluster }, _, redisPath) => {
    const dir = await mkdtemp(join(tmpdir(), 'shardq-broken-off-'))
    const folder = join(dir, 'backup')
    await backupCluster(cluster.seeds, folder)
    return {
      isWholeAfterFix: false,
      end: () => rm(dir, { recursive: true, force: true }),
      async prepare() {
        const masters = await mastersOf(cluster)
        for (const { port } of masters) await tell(port, 'FLUSHALL')
        const work: Work = { operation: 'restore', folder, ...(redisPath === undefined ? {} : { redisPath }) }
        const [target] = masters
        // Killed when all is there, it has no more to do than one that came to its end.
        const again = async (end: string) => (end === 'done' || (await isRestored(cluster)) ? null : work)
        return { work, ...(target ? { target: target.port } : {}), again, done: async () => [] }
      },
    }
  },

  'rolling-restart': async ({ cluster }) => ({
    isWholeAfterFix: true,
    notes: [ROLLING_KEY, OWED_KEY],
    async prepare() {
      const before = await runIds(cluster.seeds)
      const [source] = await mastersOf(cluster)
      const target = (await cluster.status()).nodes.find(({ role }) => role === 'replica')
      const done = async () => {
        const now = await runIds(cluster.seeds)
        return [...before].flatMap(([port, id]) =>
          now.get(port) === id ? [`${port} was not restarted`] : [],
        )
      }
      return {
        work: { operation: 'rolling-restart', how: { dataDir: cluster.dataDir } },
        ...(source ? { source: source.port } : {}),
        ...(target ? { target: target.port } : {}),
        done,
      }
    },
  }),
}

/**
 * Nobody tells another that a slot is nobody's, and one that hears once more from its owner, as it was, takes it for that one's again. Where a
 * replica does, is promoted, and the owner comes back, servers before 7.2 lose the keys of the slot by themselves (docs/migration.md).
 */
async function disown(seeds: Servers['spares'], slot: number): Promise<void> {
  await eventually(async () => {
    for (const { port } of seeds) await tell(port, 'CLUSTER', 'DELSLOTS', slot).catch(unlessUnassigned)
    for (const { host, port } of seeds) {
      const view = parseClusterNodes(await tell(port, 'CLUSTER', 'NODES'), host)
      if (view.some((node) => owns(node, slot)))
        throw new Error(`slot ${slot} is somebody's for node ${port} still`)
    }
  })
}

/** So much of another's share that it gets a partition. All slots of a full share would only repeat the same calls. */
const SHARE = 0.3

async function adding([master, replica]: Servers['spares']): Promise<{ work: Work; target: number }> {
  if (!master || !replica) throw new Error('two servers are needed')
  const nodes = [master, { ...replica, replicaOf: nameOf(master) }]
  const weights = { [await tell(master.port, 'CLUSTER', 'MYID')]: SHARE }
  return { work: { operation: 'add-node', nodes, weights }, target: master.port }
}

async function hasKeys(cluster: LocalCluster, port: number): Promise<boolean> {
  const isMaster = (await mastersOf(cluster)).some((master) => master.port === port)
  return isMaster && Number(await tell(port, 'DBSIZE')) > 0
}

async function mastersFirst(cluster: LocalCluster, spares: Servers['spares']): Promise<Servers['spares']> {
  const masters = new Set((await mastersOf(cluster)).map(({ port }) => port))
  return [...spares].sort((a, b) => Number(masters.has(b.port)) - Number(masters.has(a.port)))
}

const knowsOthers = async ({ port }: Address) =>
  (await tell(port, 'CLUSTER', 'NODES')).trim().split('\n').length > 1

/** Those that are nodes. The master among them first: its replica goes with it. */
async function removeSpares(cluster: LocalCluster, spares: Servers['spares']): Promise<void> {
  for (const spare of spares) {
    const { nodes } = await cluster.status()
    const node = nodes.find(({ port, role }) => port === spare.port && role === 'master')
    if (node) await carryOut({ operation: 'remove-node', node, withReplicas: true }, cluster.seeds)
  }
}

/** Its note is gone, and more is there than a lock. */
async function isRestored(cluster: LocalCluster): Promise<boolean> {
  const names = await Promise.all((await mastersOf(cluster)).map(({ port }) => tell(port, 'KEYS', '*')))
  const all = names.flatMap((text) => text.split(/[\n,]/)).filter((name) => name !== '' && !isPassing(name))
  return all.length > 0 && !all.includes(RESTORE_KEY)
}

const slotCount = ({ slots }: Master) => slots.reduce((sum, [first, last]) => sum + last - first + 1, 0)

async function runIds(seeds: Servers['spares']): Promise<ReadonlyMap<number, string | undefined>> {
  const ids = seeds.map(async ({ port }) => {
    const info = parseFields(await tell(port, 'INFO', 'server'))
    return [port, info.get('run_id')] as const
  })
  return new Map(await Promise.all(ids))
}
