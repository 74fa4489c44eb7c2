import { join } from 'node:path'
import { expect, it } from 'vitest'
import { ensureRedis8 } from '../../scripts/find-redis8.js'
import { backupCluster, restoreCluster } from '../../src/cluster/index.js'
import { NodeLink } from '../../src/cluster/link.js'
import { isSame } from '../../src/cluster/move/content.js'
import { tagForSlot } from '../../src/keys/slots.js'
import { ownCluster } from '../helpers/own-cluster.js'
import { tempDir } from '../helpers/temp-dir.js'

const { path: redisPath } = await ensureRedis8()
const FIELDS = 'FIELDS'

async function openMaster(slot: number) {
  const cluster = await ownCluster({ replicasPerMaster: 0, redisPath })
  const { nodes } = await cluster.status()
  const node = nodes.find(({ slots }) => slots.some(([from, to]) => from <= slot && slot <= to))
  if (!node) throw new Error('no master')
  const link = await NodeLink.open(node, { timeoutMs: 10_000 })
  return { cluster, link, close: () => link.close() }
}

const SLOT = 7
const key = (name: string | number) => `{${tagForSlot(SLOT)}}${name}`

it('hashes whose fields run out while it restores are restored, each field with its time', async () => {
  const from = await openMaster(SLOT)
  const now = Date.now()
  // A session store: some run out each moment, for half a minute; and one that has both a field for ever and one for a day.
  for (let at = 0; at < 6_000; at += 500) {
    await Promise.all(
      Array.from({ length: 500 }, async (_, i) => {
        const name = key(`session:${at + i}`)
        await from.link.text('HSET', name, 'user', at + i, 'seen', 1)
        await from.link.reply('HPEXPIREAT', name, now + 4_000 + 5 * (at + i), FIELDS, 2, 'user', 'seen')
      }),
    )
  }
  await from.link.text('HSET', key('both'), 'ever', 1, 'day', 2)
  await from.link.reply('HPEXPIREAT', key('both'), now + 86_400_000, FIELDS, 1, 'day')
  const folder = join(await tempDir(), 'backup')
  await backupCluster(from.cluster.seeds, folder)
  const to = await openMaster(SLOT)
  const { keys } = await restoreCluster(folder, to.cluster.seeds, { redisPath })
  expect(keys).toBeGreaterThan(0)
  expect(await to.link.reply('HPEXPIRETIME', key('both'), FIELDS, 2, 'ever', 'day')).toEqual([
    -1,
    now + 86_400_000,
  ])
  from.close()
  to.close()
}, 120_000)

it('a big hash keeps the times of its fields', async () => {
  const from = await openMaster(SLOT)
  const atMs = Date.now() + 86_400_000
  const value = 'x'.repeat(500)
  for (let i = 0; i < 4_000; i += 500)
    await from.link.text(
      'HSET',
      key('big'),
      ...Array.from({ length: 500 }, (_, k) => [`f${i + k}`, value]).flat(),
    )
  const some = Array.from({ length: 1_000 }, (_, i) => `f${4 * i}`)
  await from.link.reply('HPEXPIREAT', key('big'), atMs, FIELDS, some.length, ...some)
  const folder = join(await tempDir(), 'backup')
  await backupCluster(from.cluster.seeds, folder)
  const to = await openMaster(SLOT)
  await restoreCluster(folder, to.cluster.seeds, { redisPath })
  expect(await to.link.reply('HPEXPIRETIME', key('big'), FIELDS, 3, 'f0', 'f1', 'f3996')).toEqual([
    atMs,
    -1,
    atMs,
  ])
  from.close()
  to.close()
}, 60_000)

it('a copy whose fields run out at other times is not the same', async () => {
  const [one, other] = [await openMaster(SLOT), await openMaster(SLOT)]
  const name = key('session')
  const atMs = Date.now() + 86_400_000
  const fill = async ({ link }: typeof one, fields: readonly string[]) => {
    await link.text('DEL', name)
    // Each lays them out in its own order.
    for (const field of fields) await link.text('HSET', name, field, 'v')
    await link.reply('HPEXPIREAT', name, atMs, FIELDS, 1, 'a')
  }
  const reader = ({ link }: typeof one) => ({ link, asking: false })
  const isSameNow = () => isSame(reader(one), reader(other), Buffer.from(name), 'whether')
  await fill(one, ['a', 'b', 'c'])
  await fill(other, ['c', 'b', 'a'])
  expect(await isSameNow()).toBe(true)
  await other.link.reply('HPEXPIREAT', name, atMs + 1_000, FIELDS, 1, 'a')
  expect(await isSameNow()).toBe(false)
  await fill(other, ['c', 'b', 'a'])
  await other.link.reply('HPERSIST', name, FIELDS, 1, 'a')
  expect(await isSameNow()).toBe(false)
  one.close()
  other.close()
}, 60_000)
