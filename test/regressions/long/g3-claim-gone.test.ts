import { expect, it } from 'vitest'
import { planFix } from '../../../src/cluster/index.js'
import { moveSlots } from '../../../src/cluster/move/index.js'
import { eventually } from '../../helpers/behaviour/harness.js'
import {
  type ClaimScene,
  claimScene,
  cutOff,
  giveBack,
  isAnnounced,
  membersOfNote,
  TASKS,
} from '../../helpers/claim-scene.js'
import { FaultyNodes } from '../../helpers/faulty-nodes.js'
import { openJobs } from '../../helpers/new-owner.js'

/** All of it is there, and everybody agrees. */
async function expectMended({ cluster, queue, ids, to }: ClaimScene) {
  const seeds = cluster.seeds.filter(({ port }) => port !== to.port)
  // It may come back with later keys; nobody but the operator knows that it does not.
  const report = await (await planFix(seeds, { agreeMs: 2_000 })).run()
  expect(report.done.filter(({ kind }) => kind === 'assign')).toEqual([])
  // Whether the old owner has heard of the claim, and so whose the slot is, is a matter of milliseconds.
  expect(report.left.map(({ remedy }) => remedy).join()).toContain(`--forget ${to.id}`)
  const forgotten = await (await planFix(seeds, { forget: [to.id], agreeMs: 2_000 })).run()
  expect(forgotten).toMatchObject({ left: [], agreed: true, openSlots: 0 })
  await eventually(async () => {
    const { ready } = await queue.depth()
    expect(ready.medium).toBe(TASKS)
  }, 15_000)
  for (const id of ids.slice(0, 50)) expect(await queue.getTask(id)).toMatchObject({ state: 'ready' })
}

it('the new owner dies just after its claim: once it is given up, fix gives the slot to whoever was promoted in its place', async () => {
  const it = await claimScene()
  let isDead = false
  const nodes = new FaultyNodes(
    {},
    {
      after: (call) => {
        if (isDead || !it.isClaim(call)) return undefined
        isDead = true
        return it.cluster.killNode(it.to.port)
      },
    },
  )
  await expect(moveSlots(nodes, it.move, it.parties)).rejects.toThrow()
  await nodes.close()
  expect(isDead).toBe(true)
  await it.promoted()
  expect(await it.count(it.replica)).toBeGreaterThan(0)
  await expectMended(it)
}, 90_000)

it('the same, and its replica was cut off a moment before: the copies that it has are not taken for mere copies', async () => {
  const it = await claimScene()
  expect(await cutOff(it, () => isAnnounced(it))).toEqual({ isCut: true, isDead: true })
  await it.promoted()
  await expectMended(it)
}, 90_000)

it('a new owner whose replica was cut off before that gets nothing, and the slot stays where it was', async () => {
  const it = await claimScene()
  expect(await cutOff(it, async () => (await membersOfNote(it)) !== '')).toEqual({
    isCut: true,
    isDead: false,
  })
  await it.cluster.resumeNode(it.replica.port)
  expect(await it.count(it.to)).toBe(0)
  expect((await it.queue.depth()).ready.medium).toBe(TASKS)
  await eventually(async () => expect((await it.cluster.status()).state).toBe('ok'), 15_000)
  expect(await (await planFix(it.cluster.seeds)).run()).toMatchObject({
    left: [],
    openSlots: 0,
    agreed: true,
  })
  expect((await it.queue.depth()).ready.medium).toBe(TASKS)
}, 90_000)

it.each([
  ['which has nothing there: they are brought home', false],
  ['which has something else there by now: both are kept, and that is said', true],
])(
  'somebody gave the slot back to the old owner, %s',
  async (_, isUsed) => {
    const it = await claimScene()
    expect(await cutOff(it, () => isAnnounced(it))).toEqual({ isCut: true, isDead: true })
    await it.promoted()
    // A queue that is open writes to the slot by itself.
    if (!isUsed) await it.queue.disconnect()
    const kept = await it.count(it.replica)
    await giveBack(it, isUsed)
    const seeds = it.cluster.seeds.filter(({ port }) => port !== it.to.port)
    const report = await (await planFix(seeds, { forget: [it.to.id], agreeMs: 3_000 })).run()
    if (isUsed) {
      // The owner has others; and if these are wanted all the same, they are no mere copies.
      expect(report.left.map(({ remedy }) => remedy).join()).toContain('--bring-home')
      const wanted = await (await planFix(seeds, { bringHome: true, agreeMs: 3_000 })).run()
      expect(wanted.left.map(({ why }) => why).join()).toContain('may be the only one there is')
      expect(await it.count(it.replica)).toBe(kept)
    } else {
      expect(report).toMatchObject({ left: [], agreed: true, openSlots: 0 })
      expect(await it.count(it.replica)).toBe(0)
      const again = await openJobs(it.cluster)
      await eventually(async () => expect((await again.depth()).ready.medium).toBe(TASKS), 15_000)
    }
  },
  90_000,
)
