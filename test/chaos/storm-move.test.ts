import { describe, expect, it, onTestFinished } from 'vitest'
import { TaskQueue } from '../../src/index.js'
import { makePartitions } from '../../src/keys/partitions.js'
import { owns, tell } from '../helpers/nodes.js'
import { until } from '../helpers/until.js'
import { shardsOf, statusOf } from './storm/cluster.js'
import { localStormCluster } from './storm/local-storm-cluster.js'
import { moveByRebalance, moveBySpecification, moveOrFix, mustBeClosed } from './storm/move-slots.js'

const TASKS = 2_000
/** So that a move takes longer than a look at it. */
const DATA = 'x'.repeat(10_000)
/** Longer than all that is waited for in it, so that what was missing is told. */
const PATIENCE_MS = 120_000

describe('a move whose target becomes a replica is brought to an end by fix, with every task', () => {
  it.each([
    // Its copies are confirmed by replicas before they count.
    ['as rebalance moves', moveByRebalance, ['TAKEOVER']],
    // MIGRATE waits for nobody: the replica has to have all that its master has.
    ['as redis-cli moves', moveBySpecification, []],
  ] as const)(
    '%s',
    async (_, move, how) => {
      const cluster = await localStormCluster(1_000)
      onTestFinished(() => cluster.dispose().then(() => undefined))
      const queue = new TaskQueue<{ t: string }>('jobs', {
        connection: { mode: 'cluster', nodes: cluster.seeds },
        partitions: 1,
      })
      onTestFinished(() => queue.disconnect())
      await queue.connect()
      await queue.enqueueMany(Array.from({ length: TASKS }, () => ({ type: 't', data: DATA })))
      const [{ slot } = { slot: 0 }] = makePartitions('jobs', 1)
      const shards = await shardsOf(cluster)
      const from = shards.find(({ master }) => owns(master, slot))
      const to = shards.find((shard) => shard !== from)
      if (!from || !to) throw new Error('no two masters')
      const moving = moveOrFix(move, cluster, slot, from.master, to.master)
      await until(
        'keys have arrived',
        () => tell(to.master.port, 'CLUSTER', 'COUNTKEYSINSLOT', slot),
        (keys) => Number(keys) > 0,
      )
      await tell(to.replica.port, 'CLUSTER', 'FAILOVER', ...how)
      await moving
      await until(
        'it is the master',
        async () => (await statusOf(cluster)).nodes.find(({ id }) => id === to.replica.id)?.role,
        (role) => role === 'master',
      )
      await cluster.whole(15_000)
      await mustBeClosed(cluster)
      await until(
        'every task is there',
        async () => (await queue.depth()).ready.medium,
        (ready) => ready === TASKS,
      )
      expect(await queue.verify()).toMatchObject({ clean: true })
    },
    PATIENCE_MS,
  )
})
