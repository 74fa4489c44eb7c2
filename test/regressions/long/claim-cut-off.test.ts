import { expect, it } from 'vitest'
import { isMend } from '../../../src/cluster/fix/index.js'
import { type NodeView, planFix } from '../../../src/cluster/index.js'
import { moveSlots, Nodes } from '../../../src/cluster/move/index.js'
import { eventually } from '../../helpers/behaviour/harness.js'
import { type ClaimScene, claimScene, TASKS } from '../../helpers/claim-scene.js'
import { FaultyNodes } from '../../helpers/faulty-nodes.js'
import { tell } from '../../helpers/nodes.js'

/**
 * The tool ends just after a partition was claimed. The old owner forgets its keys when it hears of that, before Redis 7.2 in memory alone: they are in
 * its append-only file, and its replica has them.
 */
async function cutOff() {
  const it = await claimScene()
  const nodes = new FaultyNodes(
    {},
    {
      after: async (call) => {
        if (it.isClaim(call)) throw new Error('ended')
      },
    },
  )
  await expect(moveSlots(nodes, it.move, it.parties)).rejects.toThrow('ended')
  await nodes.close()
  await eventually(async () => expect(await it.count(it.from)).toBe(0), 15_000)
  const heir = (await it.cluster.status()).nodes.find(({ masterId }) => masterId === it.from.id)
  if (!heir) throw new Error('no replica')
  await tell(heir.port, 'CONFIG', 'SET', 'cluster-replica-no-failover', 'yes')
  return { ...it, heir }
}

async function restart({ cluster }: ClaimScene, { port }: NodeView) {
  await cluster.killNode(port, 'SIGTERM')
  await cluster.restartNode(port)
  for (const each of cluster.seeds)
    await tell(each.port, 'CONFIG', 'SET', 'cluster-replica-no-failover', 'no')
  await cluster.waitUntilReady()
}

it.each(['moveSlots', 'fix'] as const)(
  '%s makes the old owner and its replica forget them for good',
  async (who) => {
    const it = await cutOff()
    if (who === 'fix') {
      expect(await (await planFix(it.cluster.seeds)).run()).toMatchObject({ left: [], openSlots: 0 })
    } else {
      const nodes = new Nodes({})
      expect(await moveSlots(nodes, it.move, it.parties)).toBe('moved')
      await nodes.close()
    }
    await eventually(async () => expect(await it.count(it.heir)).toBe(0), 15_000)
    await restart(it, it.from)
    expect(await it.count(it.from)).toBe(0)
    expect((await planFix(it.cluster.seeds)).steps).toEqual([])
    expect((await it.queue.depth()).ready.medium).toBe(TASKS)
  },
  90_000,
)

it('closed by hand and restarted before that, it has old keys: none comes back, and they keep no slots from being moved', async () => {
  const it = await cutOff()
  await tell(it.from.port, 'CLUSTER', 'SETSLOT', it.slot, 'STABLE')
  await restart(it, it.from)
  // So that what the new owner has is something else.
  const taken = await it.queue.dequeue({ count: TASKS, leaseMs: 60_000 })
  await Promise.all(taken.map((delivery) => delivery.complete()))
  const { left } = await (await planFix(it.cluster.seeds)).run()
  expect((await planFix(it.cluster.seeds)).steps.filter(isMend)).toEqual([])
  expect(left.filter(({ remedy }) => !remedy.includes('--bring-home'))).toEqual([])
  expect((await it.queue.depth()).ready.medium).toBe(TASKS - taken.length)
  expect(await it.queue.verify()).toMatchObject({ clean: true })
}, 90_000)
