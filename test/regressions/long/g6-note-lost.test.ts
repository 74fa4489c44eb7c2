import { expect, it } from 'vitest'
import { claimScene, cutOff, giveBack, isAnnounced } from '../../helpers/claim-scene.js'
import { expectWhole, fix } from '../../helpers/new-owner.js'

/**
 * The link between the new owner and its replica breaks after the copies were confirmed, the new owner claims, the old one is emptied, and the
 * machine of the new one is lost: only its former replica, which knows of no claim, has the partition.
 */
async function lost() {
  const it = await claimScene()
  await it.queue.disconnect()
  expect(await cutOff(it, () => isAnnounced(it))).toEqual({ isCut: true, isDead: true })
  await it.promoted()
  return { it, kept: await it.count(it.replica) }
}

it('the operator who gives up the dead node gets all tasks: fix makes the former replica the owner', async () => {
  const { it } = await lost()
  const first = await fix(it, [], it.to.port)
  expect(first.code).toBe(1)
  expect(first.stdout).toContain(`shardq cluster fix --forget ${it.to.id}`)
  const forgotten = await fix(it, ['--forget', `127.0.0.1:${it.to.port}`], it.to.port)
  expect([forgotten.code, forgotten.stdout]).toEqual([0, expect.stringContaining('mended')])
  await expectWhole(it, it.to.port)
})

it('the slot was given to the old owner by hand: what is said to be moved there is moved, not removed', async () => {
  const { it, kept } = await lost()
  await giveBack(it, false)
  const { code, stdout } = await fix(it, ['--forget', it.to.id], it.to.port)
  expect([code, stdout]).toEqual([0, expect.stringContaining('mended')])
  const told = new RegExp(`(\\d+) keys of slot ${it.slot} on 127.0.0.1:${it.replica.port}`).exec(stdout)
  expect(Number(told?.[1]), stdout).toBe(kept)
  expect(await it.count(it.replica)).toBe(0)
  // All but the note of what were copies.
  expect(await it.count(it.from)).toBe(kept - 1)
  await expectWhole(it, it.to.port)
})
