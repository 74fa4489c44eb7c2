import { expect, it } from 'vitest'
import { shardq } from '../../helpers/cli.js'
import { monitor } from '../../helpers/monitor.js'
import { expectWhole, fix, newOwnerScene } from '../../helpers/new-owner.js'

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
  const without = await fix(scene)
  expect(without.stdout + without.stderr).not.toMatch(/SETSLOT <slot> STABLE/)

  expect((await shardq(['cluster', 'up', '--data-dir', cluster.dataDir])).code).toBe(0)
  const mended = await fix(scene)
  if (mended.code !== 0) {
    // Its former replica has been promoted with copies of the slot, and the owner has them too: they are told of, and are the same.
    expect(mended.stdout).toContain('where nobody finds them')
    expect(mended.stdout).toContain('shardq cluster fix --bring-home')
    const wanted = await fix(scene, '--bring-home')
    expect([wanted.code, wanted.stdout + wanted.stderr]).toEqual([0, expect.stringContaining('mended')])
  }
  await expectWhole(scene)
})
