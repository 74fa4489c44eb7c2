import { describe, expect, it, onTestFinished } from 'vitest'
import { tagForSlot } from '../../src/keys/slots.js'
import { tell } from '../helpers/nodes.js'
import { until } from '../helpers/until.js'
import { shardsOf, statusOf } from './storm/cluster.js'
import { localStormCluster } from './storm/local-storm-cluster.js'
import { moveByRebalance, moveBySpecification, moveOrFix } from './storm/move-slots.js'

const KEYS = 4_000

describe('a move whose target becomes a replica is brought to an end by fix, with every key', () => {
  it.each([
    ['as rebalance moves', moveByRebalance, ['TAKEOVER']],
    // Its target's replica has to have all that the target has.
    ['as redis-cli moves', moveBySpecification, []],
  ] as const)('%s', async (_, move, how) => {
    const cluster = await localStormCluster(1_000)
    onTestFinished(() => cluster.dispose().then(() => undefined))
    const [from, to] = await shardsOf(cluster)
    if (!from || !to) throw new Error('no two masters')
    const slot = from.master.slots[0]?.[0] ?? 0
    const key = (i: number) => `{${tagForSlot(slot)}}${i}`
    await tell(from.master.port, 'MSET', ...Array.from({ length: KEYS }, (_, i) => [key(i), i]).flat())
    const count = async ({ port }: { port: number }) =>
      Number(await tell(port, 'CLUSTER', 'COUNTKEYSINSLOT', slot))
    const moving = moveOrFix(move, cluster, slot, from.master, to.master)
    await until(
      'keys have arrived',
      () => count(to.master),
      (keys) => keys > 0,
    )
    await tell(to.replica.port, 'CLUSTER', 'FAILOVER', ...how)
    expect(await moving).toEqual(expect.any(String))
    expect(await Promise.all([from.master, to.replica].map(count))).toEqual([0, KEYS])
    const { nodes } = await statusOf(cluster)
    const owner = nodes.find(({ slots }) => slots.some(([first, last]) => first <= slot && slot <= last))
    expect(owner?.port).toBe(to.replica.port)
  })
})
