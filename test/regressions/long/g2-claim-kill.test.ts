import { expect, it } from 'vitest'
import { type NodeView, nameOf } from '../../../src/cluster/index.js'
import { partitionSlots } from '../../../src/keys/partitions.js'
import { shardq } from '../../helpers/cli.js'
import { monitor } from '../../helpers/monitor.js'
import {
  expectWhole,
  fix,
  fixOrBringHome,
  type NewOwnerScene,
  newOwnerScene,
  PARTITIONS,
  QUEUE,
} from '../../helpers/new-owner.js'
import { owns, tell } from '../../helpers/nodes.js'
import type { RunningCli } from '../../helpers/running-cli.js'

/** The replica of the new owner is cut off when that one begins to get copies of a partition, and comes back when `atCut` and the tool have ended. */
async function cutOff(atCut: (scene: NewOwnerScene, tool: RunningCli) => unknown) {
  const scene = await newOwnerScene(5_000)
  const { to, replica, cluster } = scene
  let cut: Promise<unknown> | undefined
  await monitor(to.port, (line) => {
    if (cut || !/"SADD" "shardq:\{[^}]*\}:copies"/.test(line)) return
    cut = cluster
      .freezeNode(replica.port)
      .then(() => tell(to.port, 'CLIENT', 'KILL', 'TYPE', 'replica'))
      .then(() => atCut(scene, tool))
  })
  const tool = scene.rebalance()
  const result = await tool.ended
  expect(cut, result.stderr).toBeDefined()
  await cut
  return { scene, ...result }
}

const partitionsOf = (node: NodeView | undefined) =>
  partitionSlots(QUEUE, PARTITIONS).filter((slot) => node && owns(node, slot))

it('a new owner whose replica is cut off while it gets its copies claims nothing, and the tool says why', async () => {
  const { scene, code, stderr } = await cutOff(() => undefined)
  const { cluster, from, to, replica } = scene
  expect(code).toBe(1)
  expect(stderr).toContain(`no replica follows ${nameOf(to)}`)
  expect(stderr).toContain('--leave-unprotected')
  const { nodes } = await cluster.status()
  const now = (id: string) => nodes.find((node) => node.id === id)
  expect(partitionsOf(now(from.id))).toEqual(partitionsOf(from))
  expect(partitionsOf(now(to.id))).toEqual(partitionsOf(to))
  await cluster.resumeNode(replica.port)
  await cluster.waitUntilReady()
  expect((await fix(scene)).code).toBe(0)
  await expectWhole(scene)
})

it('killed there with the tool, it comes back, and no task is lost', async () => {
  const { scene } = await cutOff(({ cluster, to }, tool) => {
    tool.signal('SIGKILL')
    return cluster.killNode(to.port)
  })
  const { cluster, to, replica } = scene
  await cluster.resumeNode(replica.port)
  await scene.promoted()
  await fix(scene, [], to.port)
  expect((await shardq(['cluster', 'up', '--data-dir', cluster.dataDir])).code).toBe(0)
  await fixOrBringHome(scene)
  await expectWhole(scene)
})
