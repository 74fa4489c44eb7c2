import { expect, it } from 'vitest'
import { nameOf } from '../../../src/cluster/index.js'
import { limitMemory } from '../../helpers/full-memory.js'
import { expectWhole, fix, newOwnerScene } from '../../helpers/new-owner.js'
import { tell } from '../../helpers/nodes.js'
import { plainKeys, readable, writeKeys } from '../../helpers/plain-keys.js'

it('a master that has no memory for what it is to get: the move ends where it is, all is there, and it goes on when there is room', async () => {
  const scene = await newOwnerScene(3_000, 500)
  const { cluster, from, to } = scene
  const names = plainKeys(6_000)
  await writeKeys(cluster, names, () => 'v'.repeat(2_000))
  const used = Number(/used_memory:(\d+)/.exec(await tell(to.port, 'INFO', 'memory'))?.[1])
  // Room for some of it: about 4 MB of keys and a third of the tasks are to come.
  await limitMemory([to], String(used + 1_200_000))

  const { code, stderr } = await scene.rebalance().ended
  expect(code).toBe(1)
  expect(stderr).toMatch(/OOM command not allowed/)
  expect(stderr).toContain(nameOf(to))
  expect(stderr).not.toMatch(/^ +at /m)
  expect(await readable(cluster, names)).toBe(names.length)

  await limitMemory([to], '0')
  const mended = await fix(scene)
  expect([mended.code, mended.stderr]).toEqual([0, ''])
  expect(await readable(cluster, names)).toBe(names.length)
  await expectWhole(scene)

  expect((await scene.rebalance().ended).code).toBe(0)
  const moved = (await cluster.status()).nodes.find(({ id }) => id === from.id)?.slots ?? []
  expect(moved.reduce((sum, [first, last]) => sum + last - first + 1, 0)).toBeLessThan(100)
  expect(await readable(cluster, names)).toBe(names.length)
  await expectWhole(scene)
})
