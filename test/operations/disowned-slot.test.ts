import { expect, it } from 'vitest'
import { ensureRedis8 } from '../../scripts/find-redis8.js'
import { ensureValkey } from '../../scripts/find-valkey.js'
import { tagForSlot } from '../../src/keys/slots.js'
import { eventually } from '../helpers/behaviour/harness.js'
import { tell } from '../helpers/nodes.js'
import { ownCluster } from '../helpers/own-cluster.js'
import { mastersOf } from './common/strays.js'

/**
 * What servers do by themselves, without any tool (docs/migration.md): a slot with keys is taken from its owner by hand, whose replica does not hear of that, is
 * promoted, and gets the old owner back. Redis 7.0 drops the keys.
 */
it.each([
  ['Redis 7.0', async () => ({}), false],
  ['Redis 8.0', async () => ({ redisPath: (await ensureRedis8()).path }), true],
  ['Valkey 8.1', async () => ({ redisPath: (await ensureValkey()).path }), true],
] as const)('a slot with keys that was taken from its owner by hand: %s', async (_, which, isKept) => {
  const cluster = await ownCluster(await which())
  const [owner] = await mastersOf(cluster)
  const { nodes } = await cluster.status()
  const replica = nodes.find(({ masterId }) => masterId === owner?.id)
  if (!owner || !replica) throw new Error('no master with a replica')
  const slot = owner.slots[0]?.[0] ?? 0
  const key = `{${tagForSlot(slot)}}key`
  await tell(owner.port, 'SET', key, 'kept')
  for (const { port } of nodes) if (port !== replica.port) await tell(port, 'CLUSTER', 'DELSLOTS', slot)
  // Heard of by the replica in this time: the owner names its slots in each message.
  const heard = async () =>
    Number(/messages_ping_received:(\d+)/.exec(await tell(replica.port, 'CLUSTER', 'INFO'))?.[1] ?? 0)
  const before = await heard()
  await eventually(async () => expect(await heard()).toBeGreaterThan(before + 10), 20_000)
  await cluster.killNode(owner.port)
  await eventually(async () => expect(await tell(replica.port, 'ROLE')).toMatch(/^master/), 20_000)
  expect(await tell(replica.port, 'CLUSTER', 'COUNTKEYSINSLOT', slot)).toBe('1')
  await cluster.restartNode(owner.port)
  await eventually(async () => expect(await tell(owner.port, 'ROLE')).toContain('connected'), 20_000)
  expect(await tell(replica.port, 'CLUSTER', 'COUNTKEYSINSLOT', slot)).toBe(isKept ? '1' : '0')
})
