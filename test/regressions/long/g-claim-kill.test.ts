import { expect, it } from 'vitest'
import { shardq } from '../../helpers/cli.js'
import { monitor } from '../../helpers/monitor.js'
import { expectWhole, fix, fixOrBringHome, newOwnerScene } from '../../helpers/new-owner.js'

/** The new owner of a partition is killed in the moment in which it has claimed it, and comes back on its data. */
it.each([
  ['it alone', false],
  ['with it the tool', true],
])('the new owner is killed in the moment of its claim, %s: no task is lost', async (_, toolToo) => {
  const scene = await newOwnerScene(5_000)
  const { cluster, to } = scene
  let killed: Promise<unknown> | undefined
  await monitor(to.port, (line) => {
    if (killed || !/"UNLINK" "shardq:\{[^}]*\}:copies"/.test(line)) return
    if (toolToo) tool.signal('SIGKILL')
    killed = cluster.killNode(to.port)
  })
  const tool = scene.rebalance()
  const { code, stderr } = await tool.ended
  expect(killed, stderr).toBeDefined()
  await killed
  if (!toolToo) {
    expect(code).toBe(1)
    expect(stderr).toContain(`master 127.0.0.1:${to.port} does not answer`)
  }
  await scene.promoted()
  // Whether anything can be mended without it depends on who has heard of the claim; nothing may be given up.
  const without = await fix(scene, [], to.port)
  expect(without.stdout + without.stderr).not.toMatch(/SETSLOT <slot> STABLE/)

  expect((await shardq(['cluster', 'up', '--data-dir', cluster.dataDir])).code).toBe(0)
  await fixOrBringHome(scene)
  await expectWhole(scene)
})
