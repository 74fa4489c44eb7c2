import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { ensureValkey } from '../../scripts/find-valkey.js'
import { planFix } from '../../src/cluster/index.js'
import { forgetEverywhere, resetNode } from '../../src/cluster/membership/forget.js'
import { tagForSlot } from '../../src/keys/slots.js'
import { eventually } from '../helpers/behaviour/harness.js'
import { owns, tell } from '../helpers/nodes.js'
import { openCluster } from '../helpers/own-cluster.js'
import { mastersOf } from './common/strays.js'

/**
 * A Valkey master that comes back with the mark of an import in its `nodes.conf`, and hears that the sender has the slot no more, claims
 * it and all slots that it had: whoever was promoted in its place was emptied, with what it had taken meanwhile.
 */
const { path: redisPath } = await ensureValkey()
const SETTINGS = { 'cluster-node-timeout': '1000' }
const KEYS = 50

it('a target of a move dies, is replaced, and comes back after fix: nothing is lost', async () => {
  const { cluster, dispose } = await openCluster({ redisPath, settings: SETTINGS })
  onTestFinished(dispose)
  const [source, target] = await mastersOf(cluster)
  if (!source || !target) throw new Error('no masters')
  const slot = source.slots[0]?.[0] ?? 0
  const moving = ['first', 'second'].map((name) => `{${tagForSlot(slot)}}${name}`)
  const own = Array.from({ length: KEYS }, (_, i) => `{${tagForSlot((target.slots[0]?.[0] ?? 0) + i)}}own`)
  for (const key of moving) await tell(source.port, 'SET', key, 'moved')
  for (const key of own) await tell(target.port, 'SET', key, 'before')
  await tell(target.port, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', source.id)
  await tell(source.port, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', target.id)
  const [first = ''] = moving
  await tell(source.port, 'MIGRATE', '127.0.0.1', target.port, '', 0, 5_000, 'KEYS', first)
  await tell(target.port, 'WAIT', 1, 5_000)

  await cluster.killNode(target.port)
  const promoted = await eventually(async () => {
    const found = (await mastersOf(cluster)).find((each) => each.id !== target.id && owns(each, slotOfOwn()))
    if (!found) throw new Error('nobody was promoted')
    return found
  }, 30_000)
  for (const key of own) await tell(promoted.port, 'SET', key, 'after')

  const whileDown = await (await planFix(cluster.seeds)).run({ evenIfChanged: true })
  expect(whileDown.left.map(({ remedy }) => remedy)).toContainEqual(
    expect.stringContaining(`start it again, and then once more: shardq cluster fix; or`),
  )
  await cluster.restartNode(target.port)
  await eventually(async () => {
    const { nodes } = await cluster.status()
    expect(nodes.filter(({ flags }) => flags.length > 0)).toEqual([])
    expect(nodes.find(({ id }) => id === target.id)?.role).toBe('replica')
  }, 30_000)
  const report = await (await planFix(cluster.seeds)).run({ evenIfChanged: true })
  expect(report.left).toEqual([])
  for (const key of moving) expect(await tell(promoted.port, 'GET', key)).toBe('moved')
  for (const key of own) expect(await tell(promoted.port, 'GET', key)).toBe('after')

  function slotOfOwn(): number {
    return target?.slots[0]?.[0] ?? 0
  }
}, 120_000)

/**
 * Valkey 8.1: a node that hears nothing from those it knows introduces itself again after a cluster-node-timeout. One that was reset just then
 * was met under its new id, and was in the cluster once more when its removal said that it was gone.
 */
it('a forgotten node that introduces itself again before it is reset stays out all the same', async () => {
  const { cluster, dispose } = await openCluster({ redisPath, settings: SETTINGS })
  onTestFinished(dispose)
  const node = (await cluster.status()).nodes.find(({ role }) => role === 'replica')
  const dir = cluster.nodes.find(({ port }) => port === node?.port)?.dir
  if (!node || dir === undefined) throw new Error('no replica')
  const others = cluster.seeds.filter(({ port }) => port !== node.port)
  await forgetEverywhere(others, node, {})
  await eventually(
    async () => expect(await readFile(join(dir, 'redis.log'), 'utf8')).toContain('Sending MEET packet'),
    10_000,
  )
  await resetNode(node, others, {})
  await sleep(3_000)
  for (const { port } of others)
    expect(await tell(port, 'CLUSTER', 'NODES')).not.toContain(`127.0.0.1:${node.port}@`)
  expect((await tell(node.port, 'CLUSTER', 'NODES')).trim().split('\n')).toHaveLength(1)
}, 60_000)
