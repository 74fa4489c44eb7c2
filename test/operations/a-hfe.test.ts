import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { ensureRedis8 } from '../../scripts/find-redis8.js'
import { backupCluster, restoreCluster } from '../../src/cluster/index.js'
import { NodeLink } from '../../src/cluster/link.js'
import { isSame } from '../../src/cluster/move/content.js'
import { RESTORE_KEY } from '../../src/cluster/own-keys.js'
import { slotOf, tagForSlot } from '../../src/keys/slots.js'
import { owns, tell } from '../helpers/nodes.js'
import { ownCluster } from '../helpers/own-cluster.js'
import { tempDir } from '../helpers/temp-dir.js'
import { until } from '../helpers/until.js'

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

/** What is done with each answer to a command that takes bytes. */
function onAnswer(
  act: (link: NodeLink, command: string, args: readonly unknown[], answer: unknown) => unknown,
) {
  const { bytes } = NodeLink.prototype
  onTestFinished(() => {
    NodeLink.prototype.bytes = bytes
  })
  NodeLink.prototype.bytes = async function (this: NodeLink, command, ...args) {
    const answer = await bytes.call(this, command, ...args)
    await act(this, command, args, answer)
    return answer
  }
}

it('fields of a big hash that run out while it is copied are not there afterwards', async () => {
  const to = await openMaster(SLOT)
  const from = await openMaster(SLOT)
  const name = key('big')
  const fields = Array.from({ length: 3_000 }, (_, i) => `field:${i}`)
  const brief = fields.filter((_, i) => i % 300 === 0)
  await from.link.text('HSET', name, ...fields.flatMap((field) => [field, 'v']))
  await from.link.reply('HPEXPIREAT', name, Date.now() + 10_000, FIELDS, brief.length, ...brief)
  const folder = join(await tempDir(), 'backup')
  await backupCluster(from.cluster.seeds, folder)
  const listed = new Set<string>()
  onAnswer(async (link, command, [of], answer) => {
    if (command !== 'HSCAN' || String(of) !== name || listed.size > 0) return
    const [, items] = answer as [Buffer, Buffer[]]
    for (const item of items.map(String)) if (brief.includes(item)) listed.add(item)
    if (listed.size === 0) return
    const values = async () => (await link.reply('HMGET', name, ...brief)) as (string | null)[]
    await until('they have run out', values, (all) => all.every((value) => value === null))
  })
  const report = await restoreCluster(folder, to.cluster.seeds, { redisPath, bigKeyBytes: 20_000 })
  expect(report).toMatchObject({ keys: 1, expired: 0 })
  expect(listed.size).toBeGreaterThan(0)
  const there = new Set((await to.link.reply('HKEYS', name)) as string[])
  expect(there).toEqual(new Set(fields.filter((field) => !brief.includes(field))))
  from.close()
  to.close()
}, 60_000)

it('a hash that is missing is looked at once, and copied', async () => {
  const to = await openMaster(SLOT)
  const from = await openMaster(SLOT)
  const names = Array.from({ length: 10 }, (_, i) => key(`hash:${i}`))
  const fields = Array.from({ length: 2_000 }, (_, i) => [`field:${i}`, 'v']).flat()
  // Half of them big.
  for (const [i, name] of names.entries())
    await from.link.text('HSET', name, ...(i % 2 === 0 ? fields : ['f', 'v']))
  await from.link.text('HSET', key('timed'), 'f', 'v')
  await from.link.reply('HPEXPIREAT', key('timed'), Date.now() + 86_400_000, FIELDS, 1, 'f')
  const folder = join(await tempDir(), 'backup')
  const { manifest } = await backupCluster(from.cluster.seeds, folder)
  let looks = new Map<string, number>()
  const isTarget = ({ address }: NodeLink) => to.cluster.nodes.some(({ port }) => port === address.port)
  onAnswer((link, command, [of]) => {
    if (command !== 'PEXPIRETIME' || !isTarget(link) || !names.includes(String(of))) return
    looks.set(String(of), (looks.get(String(of)) ?? 0) + 1)
  })
  const restore = async () => {
    looks = new Map()
    return restoreCluster(folder, to.cluster.seeds, { redisPath, bigKeyBytes: 20_000 })
  }
  // Each once when it is copied, and a big one when it is compared, since it has no sum.
  await restore()
  for (const [i, name] of names.entries()) expect(looks.get(name) ?? 0, name).toBe(i % 2 === 0 ? 2 : 0)

  for (const { port } of to.cluster.nodes) await tell(port, 'FLUSHALL')
  const keeper = (await to.cluster.status()).nodes.find((node) => owns(node, slotOf(RESTORE_KEY)))
  const note = ['backup', manifest.id, 'folder', folder, 'begunAt', 'today']
  await tell(keeper?.port ?? 0, 'HSET', RESTORE_KEY, ...note)
  expect(await restore()).toMatchObject({ resumed: true, keys: 11 })
  // When it is looked for once more before each is copied.
  for (const [i, name] of names.entries()) expect(looks.get(name) ?? 0, name).toBe(i % 2 === 0 ? 3 : 1)
  from.close()
  to.close()
}, 120_000)

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
