import { setTimeout as sleep } from 'node:timers/promises'
import { makePartitions } from '../../../src/keys/partitions.js'
import type { Client } from './clients.js'
import { command, nameOf, promoted, type Shard, type StormCluster, shardsOf, until } from './cluster.js'
import { moveSlot } from './move-slots.js'
import type { Random } from './random.js'

export interface Stage {
  readonly cluster: StormCluster
  readonly queue: string
  readonly nodeTimeoutMs: number
  readonly random: Random
  readonly producers: readonly Client[]
  readonly workers: readonly Client[]
  /** Produces and works on the host of this node; only where there is a network to cut. */
  readonly stranger: (node: string) => Promise<Client>
  /** Writes down that a step is done now. */
  readonly strike: (step: string, nodes?: boolean) => void
}

export interface FaultKind {
  readonly summary: string
  /** Cannot be done where there is no network of our own to cut. */
  readonly needsNetwork?: true
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

const aShard = async ({ cluster, random }: Stage): Promise<Shard> => random.pick(await shardsOf(cluster))

export const FAULTS = {
  'kill-master': {
    summary: 'SIGKILL, promotion, started again as a replica',
    stallMs: STALL_MS,
    run: async (stage) => {
      const { master, replica } = await aShard(stage)
      await stage.cluster.kill(nameOf(master))
      stage.strike(`killed ${nameOf(master)}`)
      await promoted(replica)
      await sleep(stage.random.between(0, 1_000))
      await stage.cluster.restart(nameOf(master))
      stage.strike(`restarted ${nameOf(master)}`)
    },
  },
  'freeze-master': {
    summary: 'SIGSTOP until the replica is promoted, SIGCONT',
    stallMs: STALL_FROZEN_MS,
    run: async (stage) => {
      const { master, replica } = await aShard(stage)
      await stage.cluster.freeze(nameOf(master))
      stage.strike(`froze ${nameOf(master)}`)
      await promoted(replica)
      await sleep(stage.random.between(0, 1_000))
      await stage.cluster.resume(nameOf(master))
      stage.strike(`thawed ${nameOf(master)}`)
    },
  },
  'freeze-master-short': {
    summary: 'SIGSTOP for less than the node time-out, SIGCONT: no promotion',
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
      stage.strike(`killed ${nameOf(replica)}`)
      await sleep(stage.random.between(200, 3_000))
      await stage.cluster.restart(nameOf(replica))
    },
  },
  'freeze-replica': {
    summary: 'SIGSTOP of a replica, SIGCONT',
    stallMs: STALL_MS,
    run: async (stage) => {
      const { replica } = await aShard(stage)
      await stage.cluster.freeze(nameOf(replica))
      stage.strike(`froze ${nameOf(replica)}`)
      await sleep(stage.random.between(200, 3_000))
      await stage.cluster.resume(nameOf(replica))
    },
  },
  'replica-lag-then-kill': {
    summary: 'the replica stands still and falls behind, its master is killed, the replica is promoted',
    stallMs: STALL_MS,
    run: async (stage) => {
      const { cluster } = stage
      const { master, replica } = await aShard(stage)
      await cluster.freeze(nameOf(replica))
      stage.strike(`froze ${nameOf(replica)}`)
      await fallBehind(stage, master)
      await sleep(stage.nodeTimeoutMs * 0.3)
      await cluster.kill(nameOf(master))
      stage.strike(`killed ${nameOf(master)}`)
      await cluster.resume(nameOf(replica))
      stage.strike(`thawed ${nameOf(replica)}`)
      await promoted(replica)
      await cluster.restart(nameOf(master))
    },
  },
  'restart-within-timeout': {
    summary: 'SIGKILL of a master, started again before the others notice',
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
    run: async (stage) => {
      const worker = stage.random.pick(stage.workers)
      await worker.kill()
      stage.strike(`killed ${worker.name}`, false)
      await sleep(stage.random.between(0, 2_000))
      await worker.start()
    },
  },
  'freeze-worker': {
    summary: 'SIGSTOP of a worker beyond its lease, SIGCONT: it is refused',
    stallMs: STALL_MS,
    run: async (stage) => {
      const worker = stage.random.pick(stage.workers)
      worker.freeze()
      stage.strike(`froze ${worker.name}`, false)
      await sleep(stage.random.between(4_000, 5_000))
      worker.thaw()
      stage.strike(`thawed ${worker.name}`, false)
    },
  },
  'kill-producer': {
    summary: 'SIGKILL of a producer process, started again',
    stallMs: STALL_MS,
    run: async (stage) => {
      const producer = stage.random.pick(stage.producers)
      await producer.kill()
      stage.strike(`killed ${producer.name}`, false)
      await sleep(stage.random.between(0, 1_000))
      await producer.start()
    },
  },
  'freeze-producer': {
    summary: 'SIGSTOP of a producer, SIGCONT',
    stallMs: STALL_MS,
    run: async (stage) => {
      const producer = stage.random.pick(stage.producers)
      producer.freeze()
      stage.strike(`froze ${producer.name}`, false)
      await sleep(stage.random.between(500, 3_000))
      producer.thaw()
      stage.strike(`thawed ${producer.name}`, false)
    },
  },
  'partition-master-with-client': {
    summary: 'one master and a client on its host are cut off until its replica is promoted',
    needsNetwork: true,
    mayReject: true,
    stallMs: STALL_FROZEN_MS,
    run: async (stage) => {
      const { network } = stage.cluster
      if (!network) throw new Error('there is no network to cut')
      const { master, replica } = await aShard(stage)
      const stranger = await stage.stranger(nameOf(master))
      try {
        stranger.go()
        await sleep(500)
        stranger.cutOff()
        await network.cut(nameOf(master))
        stage.strike(`cut ${nameOf(master)} off`)
        await promoted(replica)
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
    stallMs: STALL_MS,
    run: async (stage) => {
      const { master, replica } = await aShard(stage)
      await failOver(stage, replica)
      await stage.cluster.whole(30_000)
      await failOver(stage, master)
    },
  },
  'move-slots': {
    summary: "some of the queue's own slots go to another master, with their keys, and back",
    stallMs: STALL_MS,
    run: async (stage) => {
      const { cluster, random } = stage
      const [from, to] = random.shuffle(await shardsOf(cluster))
      if (!from || !to) throw new Error('there are no two masters')
      const partitions = makePartitions(stage.queue, 12)
      const mine = partitions.filter(({ slot }) => from.master.slots.some(([a, b]) => a <= slot && slot <= b))
      const moving = random.shuffle(mine).slice(0, 2)
      for (const { slot } of moving) {
        stage.strike(`slot ${slot} to ${nameOf(to.master)}`)
        await moveSlot(cluster, slot, from.master, to.master)
      }
      await sleep(random.between(0, 1_000))
      for (const { slot } of moving) {
        stage.strike(`slot ${slot} back to ${nameOf(from.master)}`)
        await moveSlot(cluster, slot, to.master, from.master)
      }
    },
  },
  'script-flush': {
    summary: 'SCRIPT FLUSH on all masters, again and again',
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
    stallMs: STALL_MS,
    run: async (stage) => {
      const { cluster } = stage
      const setAll = async (ms: number) => {
        for (const seed of cluster.seeds)
          await command(nameOf(seed), 'CONFIG', 'SET', 'cluster-node-timeout', ms)
      }
      await setAll(Math.round(stage.nodeTimeoutMs / 2))
      const { master, replica } = await aShard(stage)
      await cluster.kill(nameOf(master))
      stage.strike(`killed ${nameOf(master)}`)
      await promoted(replica)
      await cluster.restart(nameOf(master))
      stage.strike(`restarted ${nameOf(master)}`)
      await until('all nodes answer', 10_000, async () => {
        await setAll(stage.nodeTimeoutMs)
        return true
      })
    },
  },
} as const satisfies Record<string, FaultKind>

export type FaultName = keyof typeof FAULTS

/** The kernel holds megabytes between a master and a replica that stands still; only what is behind them is missing there. */
async function fallBehind({ queue }: Stage, master: Shard['master']): Promise<void> {
  const here = makePartitions(queue, 12).find(({ slot }) =>
    master.slots.some(([a, b]) => a <= slot && slot <= b),
  )
  const key = here?.keys.probe ?? ''
  for (let i = 0; i < 20; i++) await command(nameOf(master), 'SET', key, 'x'.repeat(1_000_000), 'PX', 30_000)
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

async function fillMemory(stage: Stage, masters: readonly string[]): Promise<void> {
  const before = new Map<string, string>()
  for (const master of masters) {
    const [, most = '0'] = (await command(master, 'CONFIG', 'GET', 'maxmemory')).split(',')
    before.set(master, most)
    await command(master, 'CONFIG', 'SET', 'maxmemory', 1_000_000)
  }
  stage.strike(`no memory at ${masters.join(', ')}`)
  await sleep(stage.random.between(500, 2_000))
  for (const [master, most] of before) await command(master, 'CONFIG', 'SET', 'maxmemory', most)
  stage.strike('memory again')
}
