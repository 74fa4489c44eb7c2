import { expect, it } from 'vitest'
import { shardq } from '../../helpers/cli.js'
import { monitor } from '../../helpers/monitor.js'
import { expectWhole, fix, newOwnerScene } from '../../helpers/new-owner.js'
import { tell } from '../../helpers/nodes.js'

/** It has made the copies of a partition, and is made the one with the latest epoch, before the claim. */
const isLeading = (seen: { copied: boolean }, line: string) => {
  if (/"SADD" "shardq:\{[^}]*\}:copies"/.test(line)) seen.copied = true
  return seen.copied && /"CLUSTER" "BUMPEPOCH"/i.test(line)
}

/** The replica of the new owner is cut off once it has the copies, before the claim is announced. */
async function cutOff(atCut: (scene: Awaited<ReturnType<typeof newOwnerScene>>, end: () => void) => void) {
  const scene = await newOwnerScene(5_000)
  const { cluster, to, replica } = scene
  const seen = { copied: false, claimed: false }
  let cut: Promise<unknown> | undefined
  await monitor(to.port, (line) => {
    if (/"UNLINK" "shardq:\{[^}]*\}:copies"/.test(line)) seen.claimed = true
    if (cut || !isLeading(seen, line)) return
    cut = Promise.all([cluster.freezeNode(replica.port), tell(to.port, 'CLIENT', 'KILL', 'TYPE', 'replica')])
    atCut(scene, () => tool.signal('SIGKILL'))
  })
  const tool = scene.rebalance()
  const result = await tool.ended
  expect(cut, result.stderr).toBeDefined()
  await cut
  return { scene, seen, ...result }
}

it('a new owner whose replica was cut off just before its claim gets nothing, and the tool says why', async () => {
  const { scene, seen, code, stderr } = await cutOff(() => undefined)
  expect(seen.claimed).toBe(false)
  expect(code).toBe(1)
  expect(stderr).toMatch(/of which 0 follow|not every replica of .* keeps up|no replica of .* keeps up/)
  await scene.cluster.resumeNode(scene.replica.port)
  await scene.cluster.waitUntilReady()
  expect((await fix(scene)).code).toBe(0)
  await expectWhole(scene)
})

it('killed there with the tool, and its replica promoted, it comes back, and no task is lost', async () => {
  let killed: Promise<unknown> | undefined
  const { scene } = await cutOff(({ cluster, to }, endTool) => {
    endTool()
    killed = cluster.killNode(to.port)
  })
  const { cluster, replica } = scene
  await killed
  await cluster.resumeNode(replica.port)
  await scene.promoted()
  await fix(scene)
  expect((await shardq(['cluster', 'up', '--data-dir', cluster.dataDir])).code).toBe(0)
  expect((await fix(scene)).code).toBe(0)
  await expectWhole(scene)
})
