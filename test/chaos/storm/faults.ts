import { setTimeout as sleep } from 'node:timers/promises'
import type { Address } from '../../../src/cluster/index.js'
import { makePartitions } from '../../../src/keys/partitions.js'
import { HUB_ADDRESS } from '../../helpers/netns.js'
import { owns } from '../../helpers/nodes.js'
import type { Client } from './clients.js'
import {
  command,
  nameOf,
  promoted,
  reach,
  type Shard,
  type StormCluster,
  shardsOf,
  until,
} from './cluster.js'
import { type Mover, moveByRebalance, moveBySpecification, moveOrFix, mustBeClosed } from './move-slots.js'
import type { Random } from './random.js'

export interface Stage {
  readonly cluster: StormCluster
  readonly queue: string
  readonly nodeTimeoutMs: number
  readonly random: Random
  readonly producers: readonly Client[]
  readonly workers: readonly Client[]
  /** Nodes of the shards, and clients, that faults of this round have chosen. */
  readonly taken: Set<string | Client>
  /** Produces and works on the host of this node; only where there is a network to cut. */
  readonly stranger: (node: string) => Promise<Client>
  /** Writes down that a step is done now. `nodes`: it strikes a master, or the network to one. Default true. */
  readonly strike: (step: string, nodes?: boolean) => void
}

export interface FaultKind {
  readonly summary: string
  /** Cannot be done where there is no network of our own to cut. */
  readonly needsNetwork?: true
  /** A master is lost to it, or a slot is on its way; of such only one at a time, or nobody can be elected. */
  readonly takesMaster?: true
  /** It strikes every shard, and so none may be lost besides. */
  readonly strikesAll?: true
  /** Workers cannot reach a master that lives, perhaps for longer than a lease. */
  readonly cutsLinks?: true
  /** Needs so many replicas for each master. */
  readonly replicas?: number
  /** Producers may be told no. */
  readonly mayReject?: true
  /** Longest that a producer without a key may wait, in ms. */
  readonly stallMs: number
  /** Does the harm and undoes it. */
  readonly run: (stage: Stage) => Promise<void>
}

/**
 * What a producer may stand still: in itself 0.3 s at most, and that is measured elsewhere, on a quiet machine
 * (docs/failover.md). Here eleven processes share it, so that only what is far off counts.
 */
const STALL_MS = 1_500
/** Of a frozen master it is known only after a command time-out of 1 s and a WAIT of 0.1 s. */
const STALL_FROZEN_MS = 1_100 + STALL_MS

/** One that no other fault of the round has. */
async function aShard(stage: Stage): Promise<Shard> {
  const shard = await aShardOf(stage, 1)
  if (!shard) throw new Error('every shard is taken')
  return shard
}

/** As `aShard`, with so many replicas: they move to masters that have lost theirs, so that there may be none. */
async function aShardOf(
  { cluster, random, taken }: Stage,
  leastReplicas: number,
): Promise<Shard | undefined> {
  const free = (await shardsOf(cluster)).filter(
    ({ master, replicas }) => !taken.has(nameOf(master)) && replicas.length >= leastReplicas,
  )
  if (free.length === 0) return undefined
  const shard = random.pick(free)
  for (const node of [shard.master, ...shard.replicas]) taken.add(nameOf(node))
  return shard
}

const TOO_FEW = 'nothing: no shard that is free has two replicas at the moment'

/** One that no other fault of the round has. */
function aClient({ random, taken }: Stage, clients: readonly Client[]): Client {
  const client = random.pick(clients.filter((each) => !taken.has(each)))
  taken.add(client)
  return client
}

export const FAULTS = {
  'kill-master': {
    summary: 'SIGKILL, promotion, started again as a replica',
    takesMaster: true,
    stallMs: STALL_MS,
    run: async (stage) => {
      const shard = await aShard(stage)
      const { master } = shard
      await stage.cluster.kill(nameOf(master))
      stage.strike(`killed ${nameOf(master)}`)
      await promoted(shard)
      await sleep(stage.random.between(0, 300))
      await stage.cluster.restart(nameOf(master))
      stage.strike(`restarted ${nameOf(master)}`)
    },
  },
  'freeze-master': {
    summary: 'SIGSTOP until the replica is promoted, SIGCONT',
    takesMaster: true,
    stallMs: STALL_FROZEN_MS,
    run: async (stage) => {
      const shard = await aShard(stage)
      const { master } = shard
      await stage.cluster.freeze(nameOf(master))
      stage.strike(`froze ${nameOf(master)}`)
      await promoted(shard)
      await sleep(stage.random.between(0, 300))
      await stage.cluster.resume(nameOf(master))
      stage.strike(`thawed ${nameOf(master)}`)
    },
  },
  'freeze-master-short': {
    summary: 'SIGSTOP for less than the node time-out, SIGCONT: no promotion',
    takesMaster: true,
    stallMs: STALL_FROZEN_MS,
    run: async (stage) => {
      const { master } = await aShard(stage)
      await stage.cluster.freeze(nameOf(master))
      stage.strike(`froze ${nameOf(master)}`)
      await sleep(stage.nodeTimeoutMs * (0.4 + 0.4 * stage.random.next()))
      await stage.cluster.resume(nameOf(master))
      stage.strike(`thawed ${nameOf(master)}`)
    },
  },
  'kill-replica': {
    summary: 'SIGKILL of a replica, started again',
    stallMs: STALL_MS,
    run: async (stage) => {
      const { replica } = await aShard(stage)
      await stage.cluster.kill(nameOf(replica))
      stage.strike(`killed ${nameOf(replica)}`, false)
      await sleep(stage.random.between(200, 1_500))
      await stage.cluster.restart(nameOf(replica))
    },
  },
  'freeze-replica': {
    summary: 'SIGSTOP of a replica, SIGCONT',
    stallMs: STALL_MS,
    run: async (stage) => {
      const { replica } = await aShard(stage)
      await stage.cluster.freeze(nameOf(replica))
      stage.strike(`froze ${nameOf(replica)}`, false)
      await sleep(stage.random.between(200, 1_500))
      await stage.cluster.resume(nameOf(replica))
    },
  },
  'replica-lag-then-kill': {
    summary: 'the replica stands still and falls behind, its master is killed, the replica is promoted',
    takesMaster: true,
    stallMs: STALL_MS,
    run: async (stage) => {
      const { cluster } = stage
      const shard = await aShard(stage)
      const { master, replicas } = shard
      await leaveBehind(stage, master, replicas, stage.nodeTimeoutMs * 0.3)
      await cluster.kill(nameOf(master))
      stage.strike(`killed ${nameOf(master)}`)
      for (const replica of replicas) await cluster.resume(nameOf(replica))
      stage.strike(`thawed ${replicas.map(nameOf).join(', ')}`, false)
      await promoted(shard)
      await cluster.restart(nameOf(master))
    },
  },
  'restart-within-timeout': {
    summary: 'SIGKILL of a master, started again before the others notice',
    takesMaster: true,
    stallMs: STALL_MS,
    run: async (stage) => {
      const { master } = await aShard(stage)
      await stage.cluster.kill(nameOf(master))
      stage.strike(`killed ${nameOf(master)}`)
      await stage.cluster.restart(nameOf(master))
      stage.strike(`restarted ${nameOf(master)}`)
    },
  },
  'kill-worker': {
    summary: 'SIGKILL of a worker process, started again',
    stallMs: STALL_MS,
    run: (stage) => killAndStart(stage, stage.workers, 2_000),
  },
  'freeze-worker': {
    summary: 'SIGSTOP of a worker beyond its lease, SIGCONT: it is refused',
    stallMs: STALL_MS,
    run: (stage) => freezeAndThaw(stage, stage.workers, 4_000, 5_000),
  },
  'kill-producer': {
    summary: 'SIGKILL of a producer process, started again',
    stallMs: STALL_MS,
    run: (stage) => killAndStart(stage, stage.producers, 1_000),
  },
  'freeze-producer': {
    summary: 'SIGSTOP of a producer, SIGCONT',
    stallMs: STALL_MS,
    run: (stage) => freezeAndThaw(stage, stage.producers, 500, 3_000),
  },
  'partition-master-with-client': {
    summary: 'one master and a client on its host are cut off until its replica is promoted',
    takesMaster: true,
    needsNetwork: true,
    mayReject: true,
    cutsLinks: true,
    stallMs: STALL_FROZEN_MS,
    run: async (stage) => {
      const { network } = stage.cluster
      if (!network) throw new Error('there is no network to cut')
      const shard = await aShard(stage)
      const { master } = shard
      const stranger = await stage.stranger(nameOf(master))
      try {
        stranger.go()
        await sleep(500)
        stranger.cutOff()
        await network.cut(nameOf(master))
        stage.strike(`cut ${nameOf(master)} off`)
        await promoted(shard)
        await sleep(stage.random.between(500, 2_000))
        await network.mend(nameOf(master))
        stranger.reachable()
        stage.strike(`mended ${nameOf(master)}`)
        await stage.cluster.whole(30_000)
        await stranger.pause()
      } finally {
        await stranger.kill()
      }
    },
  },
  'failover-and-back': {
    summary: 'CLUSTER FAILOVER to the replica, and back when all agree',
    takesMaster: true,
    stallMs: STALL_MS,
    run: async (stage) => {
      const shard = await aShard(stage)
      const { master } = shard
      await failOver(stage, shard.replica)
      await stage.cluster.whole(30_000)
      await failOver(stage, master)
    },
  },
  'move-slots': {
    summary: "some of the queue's own slots go to another master as rebalance moves them, and back",
    takesMaster: true,
    strikesAll: true,
    stallMs: STALL_MS,
    run: (stage) => thereAndBack(stage, moveByRebalance),
  },
  reshard: {
    summary: 'as move-slots, as redis-cli moves them: their keys go one by one',
    takesMaster: true,
    strikesAll: true,
    stallMs: STALL_MS,
    run: (stage) => thereAndBack(stage, moveBySpecification),
  },
  'script-flush': {
    summary: 'SCRIPT FLUSH on all masters, again and again',
    strikesAll: true,
    stallMs: STALL_MS,
    run: async (stage) => {
      for (let i = 0; i < 10; i++) {
        for (const { master } of await shardsOf(stage.cluster))
          await command(nameOf(master), 'SCRIPT', 'FLUSH')
        if (i === 0) stage.strike('flushed')
        await sleep(100)
      }
    },
  },
  'memory-full-one': {
    summary: 'one master is out of memory (noeviction) for a while',
    stallMs: STALL_MS,
    run: async (stage) => {
      const { master } = await aShard(stage)
      await fillMemory(stage, [nameOf(master)])
    },
  },
  'memory-full-all': {
    summary: 'all masters are out of memory for a while: producers wait, workers drain',
    mayReject: true,
    strikesAll: true,
    stallMs: Number.POSITIVE_INFINITY,
    run: async (stage) => {
      const shards = await shardsOf(stage.cluster)
      await fillMemory(
        stage,
        shards.map(({ master }) => nameOf(master)),
      )
    },
  },
  'lower-timeout': {
    summary: 'CONFIG SET cluster-node-timeout to half, then a master is killed',
    takesMaster: true,
    stallMs: STALL_MS,
    run: async (stage) => {
      const { cluster } = stage
      const setAll = async (ms: number) => {
        for (const seed of cluster.seeds)
          await command(nameOf(seed), 'CONFIG', 'SET', 'cluster-node-timeout', ms)
      }
      await setAll(Math.round(stage.nodeTimeoutMs / 2))
      const shard = await aShard(stage)
      const { master } = shard
      await cluster.kill(nameOf(master))
      stage.strike(`killed ${nameOf(master)}`)
      await promoted(shard)
      await cluster.restart(nameOf(master))
      stage.strike(`restarted ${nameOf(master)}`)
      await until('all nodes answer', 10_000, async () => {
        await setAll(stage.nodeTimeoutMs)
        return true
      })
    },
  },
  'late-replicas': {
    summary: 'all replicas of a shard stand still, in rounds of 100 to 2,000 ms; nothing is killed',
    stallMs: STALL_MS,
    run: async (stage) => {
      const { replicas } = await aShard(stage)
      await beLate(stage, replicas, 3, [100, 1_200])
    },
  },
  'late-replicas-all': {
    summary: 'all replicas of all shards stand still at once: nobody can confirm anything',
    strikesAll: true,
    stallMs: STALL_FROZEN_MS,
    run: async (stage) => {
      const shards = await shardsOf(stage.cluster)
      await beLate(
        stage,
        shards.flatMap(({ replicas }) => replicas),
        3,
        [100, 700],
      )
    },
  },
  'late-replica-of-several': {
    summary: 'one of several replicas stands still, and the master is killed while it is behind',
    replicas: 2,
    takesMaster: true,
    stallMs: STALL_MS,
    run: async (stage) => {
      const { cluster } = stage
      const shard = await aShardOf(stage, 2)
      if (!shard) return stage.strike(TOO_FEW, false)
      await leaveBehind(stage, shard.master, [shard.replica], 0)
      await cluster.kill(nameOf(shard.master))
      stage.strike(`killed ${nameOf(shard.master)}`)
      await cluster.resume(nameOf(shard.replica))
      await promoted(shard)
      await cluster.restart(nameOf(shard.master))
    },
  },
  'split-replicas': {
    summary:
      'one master, one of its replicas and a client are cut off together; the other replica is promoted',
    needsNetwork: true,
    replicas: 2,
    takesMaster: true,
    mayReject: true,
    cutsLinks: true,
    stallMs: STALL_FROZEN_MS,
    run: async (stage) => {
      const { network } = stage.cluster
      if (!network) throw new Error('there is no network to cut')
      const shard = await aShardOf(stage, 2)
      const [near, ...far] = shard?.replicas ?? []
      if (!shard || !near) return stage.strike(TOO_FEW, false)
      const { master } = shard
      const stranger = await stage.stranger(nameOf(master))
      try {
        stranger.go()
        await sleep(300)
        stranger.cutOff()
        await network.split([nameOf(master), nameOf(near)])
        stage.strike(`cut ${nameOf(master)} and ${nameOf(near)} off`)
        await promoted({ master, replica: near, replicas: far })
        await sleep(stage.random.between(300, 1_500))
        await network.join()
        stranger.reachable()
        stage.strike('joined')
        await stage.cluster.whole(30_000)
        await stranger.pause()
      } finally {
        await network.join()
        await stranger.kill()
      }
    },
  },
  'flapping-link': {
    summary: 'packets from and to a master are lost, again and again for 20 to 150 ms: a slow link',
    needsNetwork: true,
    cutsLinks: true,
    stallMs: STALL_FROZEN_MS,
    run: async (stage) => {
      const { network } = stage.cluster
      if (!network) throw new Error('there is no network to cut')
      const { master } = await aShard(stage)
      for (let i = 0; i < 10; i++) {
        await network.cut(nameOf(master))
        stage.strike(`cut ${nameOf(master)}`)
        await sleep(stage.random.between(20, 150))
        await network.mend(nameOf(master))
        await sleep(stage.random.between(20, 150))
      }
      stage.strike('the link holds')
    },
  },
  'half-open-link': {
    summary: 'a master hears its clients, and what it answers vanishes',
    needsNetwork: true,
    cutsLinks: true,
    stallMs: STALL_FROZEN_MS,
    run: async (stage) => {
      const { network } = stage.cluster
      if (!network) throw new Error('there is no network to cut')
      const { master } = await aShard(stage)
      const hub = nameOf({ host: HUB_ADDRESS, port: 0 })
      await network.mute(nameOf(master), hub)
      stage.strike(`muted ${nameOf(master)}`)
      await sleep(stage.random.between(200, 2_500))
      await network.unmute(nameOf(master), hub)
      stage.strike(`${nameOf(master)} is heard again`)
    },
  },
  'clients-killed': {
    summary: 'CLIENT KILL of all connections of clients and of subscribers, on all masters, again and again',
    strikesAll: true,
    // For as long as that lasts, each round may break the call that was sent in the place of the last one.
    stallMs: STALL_FROZEN_MS,
    run: async (stage) => {
      for (let i = 0; i < 5; i++) {
        for (const { master } of await shardsOf(stage.cluster)) {
          for (const type of ['normal', 'pubsub']) {
            await command(nameOf(master), 'CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes')
            stage.strike(`${nameOf(master)}: connections killed`)
          }
        }
        await sleep(stage.random.between(50, 300))
      }
    },
  },
  'too-many-clients': {
    summary: 'a master takes no new connection for a while, and those there are are killed once',
    stallMs: STALL_FROZEN_MS,
    run: async (stage) => {
      const { master } = await aShard(stage)
      // Kept, since no other would be let in.
      const link = await reach(master)
      try {
        const [, before = '10000'] = (await link.text('CONFIG', 'GET', 'maxclients')).split(',')
        await link.text('CONFIG', 'SET', 'maxclients', 1)
        await link.text('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
        stage.strike(`${nameOf(master)} takes nobody`)
        await sleep(stage.random.between(200, 2_000))
        await link.text('CONFIG', 'SET', 'maxclients', before)
        stage.strike(`${nameOf(master)} takes connections again`)
      } finally {
        link.close()
      }
    },
  },
  'busy-script': {
    summary: 'a script of somebody else keeps a master, which answers BUSY',
    stallMs: STALL_FROZEN_MS,
    run: async (stage) => {
      const { master } = await aShard(stage)
      await command(nameOf(master), 'CONFIG', 'SET', 'busy-reply-threshold', 20)
      stage.strike(`${nameOf(master)} is busy`)
      await command(nameOf(master), 'EVAL', SLOW_SCRIPT, 0, stage.random.between(200, 800))
      await command(nameOf(master), 'CONFIG', 'SET', 'busy-reply-threshold', 5_000)
      stage.strike(`${nameOf(master)} is free again`)
    },
  },
  'worker-leaves': {
    summary: 'a worker ends in good order, in the midst of its work, and comes back',
    stallMs: STALL_MS,
    run: async (stage) => {
      const worker = aClient(stage, stage.workers)
      stage.strike(`${worker.name} leaves`, false)
      await worker.leave()
      await sleep(stage.random.between(0, 500))
      await worker.start()
    },
  },
  'producer-leaves': {
    summary: 'a producer disconnects in good order, with enqueues under way, and comes back',
    stallMs: STALL_FROZEN_MS,
    run: async (stage) => {
      const producer = aClient(stage, stage.producers)
      stage.strike(`${producer.name} leaves`, false)
      await producer.leave()
      await producer.start()
    },
  },
} as const satisfies Record<string, FaultKind>

export type FaultName = keyof typeof FAULTS

/** Ends after so many ms, and does nothing. */
const SLOW_SCRIPT =
  "local function now() local t = redis.call('TIME') return t[1] * 1000 + t[2] / 1000 end " +
  'local till = now() + tonumber(ARGV[1]) while now() < till do end return 1'

async function beLate(
  stage: Stage,
  replicas: readonly Address[],
  rounds: number,
  [least, most]: readonly [number, number],
): Promise<void> {
  for (let i = 0; i < rounds; i++) {
    await Promise.all(replicas.map((replica) => stage.cluster.freeze(nameOf(replica))))
    stage.strike(`froze ${replicas.map(nameOf).join(', ')}`, false)
    await sleep(stage.random.between(least, most))
    await Promise.all(replicas.map((replica) => stage.cluster.resume(nameOf(replica))))
    await sleep(stage.random.between(50, 200))
  }
}

/**
 * Replicas that stand still and are behind, for `forMs` and more. One that the cluster has given up is another fault: it is waited for no
 * more, and completions are confirmed on the master's word (docs/promises.md). So where that took too long, it is done again.
 */
async function leaveBehind(
  stage: Stage,
  master: Shard['master'],
  replicas: readonly Address[],
  forMs: number,
): Promise<void> {
  const { cluster, nodeTimeoutMs } = stage
  const names = replicas.map(nameOf)
  for (let tries = 0; tries < 10; tries++) {
    const frozenAtMs = performance.now()
    for (const name of names) await cluster.freeze(name)
    stage.strike(`froze ${names.join(', ')}`, false)
    await fallBehind(stage, master)
    await sleep(forMs)
    if (performance.now() - frozenAtMs < 0.8 * nodeTimeoutMs) return
    for (const name of names) await cluster.resume(name)
    stage.strike(`thawed ${names.join(', ')}`, false)
    await cluster.whole(30_000)
  }
  throw new Error(`${names.join(', ')} could not be left behind within ${0.8 * nodeTimeoutMs} ms`)
}

/** The kernel holds megabytes between a master and a replica that stands still; only what is behind them is missing there. */
async function fallBehind({ queue }: Stage, master: Shard['master']): Promise<void> {
  const here = makePartitions(queue, 12).find(({ slot }) =>
    master.slots.some(([a, b]) => a <= slot && slot <= b),
  )
  const key = here?.keys.probe ?? ''
  const link = await reach(master)
  try {
    const much = 'x'.repeat(1_000_000)
    await Promise.all(Array.from({ length: 20 }, () => link.text('SET', key, much, 'PX', 30_000)))
  } finally {
    link.close()
  }
}

/** CLUSTER FAILOVER answers OK before anything has happened, and may come to nothing; so it is asked until it has. */
async function failOver(stage: Stage, to: Shard['replica']): Promise<void> {
  let askedMs = Number.NEGATIVE_INFINITY
  await until(`${nameOf(to)} is master after CLUSTER FAILOVER`, 60_000, async () => {
    const role = await command(nameOf(to), 'ROLE')
    if (role.startsWith('master')) return true
    // One that came to nothing is given up by the server after 5 s (CLUSTER_MF_TIMEOUT).
    if (performance.now() - askedMs > 6_000) {
      askedMs = performance.now()
      await command(nameOf(to), 'CLUSTER', 'FAILOVER')
      stage.strike(`CLUSTER FAILOVER to ${nameOf(to)}`)
    }
    return false
  })
}

/** For `maxmemory`: less than an empty server takes. */
const FULL_BYTES = '1000000'

async function fillMemory(stage: Stage, masters: readonly string[]): Promise<void> {
  const before = new Map<string, string>()
  for (const master of masters) {
    const [, most = '0'] = (await command(master, 'CONFIG', 'GET', 'maxmemory')).split(',')
    // A second fault of this kind fills it already, and gives it back.
    if (most === FULL_BYTES) continue
    before.set(master, most)
    await command(master, 'CONFIG', 'SET', 'maxmemory', FULL_BYTES)
  }
  stage.strike(`no memory at ${masters.join(', ')}`)
  // Often for longer than a lease.
  await sleep(stage.random.between(500, 4_000))
  for (const [master, most] of before) await command(master, 'CONFIG', 'SET', 'maxmemory', most)
  stage.strike('memory again')
}

async function killAndStart(stage: Stage, clients: readonly Client[], withinMs: number): Promise<void> {
  const client = aClient(stage, clients)
  await client.kill()
  stage.strike(`killed ${client.name}`, false)
  await sleep(stage.random.between(0, withinMs))
  await client.start()
}

async function freezeAndThaw(
  stage: Stage,
  clients: readonly Client[],
  leastMs: number,
  mostMs: number,
): Promise<void> {
  const client = aClient(stage, clients)
  client.freeze()
  stage.strike(`froze ${client.name}`, false)
  await sleep(stage.random.between(leastMs, mostMs))
  client.thaw()
  stage.strike(`thawed ${client.name}`, false)
}

async function thereAndBack({ cluster, random, queue, strike }: Stage, move: Mover): Promise<void> {
  const [a, b] = random.shuffle(await shardsOf(cluster))
  if (!a || !b) throw new Error('there are no two masters')
  const partitions = makePartitions(queue, 12)
  const mine = partitions.filter(({ slot }) => owns(a.master, slot))
  const moving = random.shuffle(mine).slice(0, 2)
  for (const [from, to] of [
    [a.master, b.master],
    [b.master, a.master],
  ] as const) {
    for (const { slot } of moving) {
      strike(`slot ${slot} to ${nameOf(to)}`)
      const why = await moveOrFix(move, cluster, slot, from, to)
      if (why === undefined) continue
      strike(`mended: ${why}`, false)
      return
    }
    await sleep(random.between(0, 1_000))
  }
  await mustBeClosed(cluster)
}
