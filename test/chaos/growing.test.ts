import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { readManifest, writeManifest } from '../../src/cluster/data-dir.js'
import {
  addNodes,
  compareUsers,
  freePorts,
  type LocalCluster,
  planLocalRemoval,
  planRebalance,
  planRemoval,
  startCluster,
  startSingle,
} from '../../src/cluster/index.js'
import { countIn } from '../../src/cluster/slots.js'
import { slotOf } from '../../src/keys/slots.js'
import { bareServers } from '../helpers/bare-servers.js'
import { shardq } from '../helpers/cli.js'
import { tell } from '../helpers/nodes.js'
import { openCluster } from '../helpers/own-cluster.js'

let cluster: LocalCluster
let dispose: () => Promise<void>
beforeAll(async () => {
  ;({ cluster, dispose } = await openCluster({ replicasPerMaster: 0 }))
})
afterAll(() => dispose?.())

const KEYS = Array.from({ length: 60 }, (_, n) => `shardq:q:{${n % 12}}:${n}`)
const local = async (...args: string[]) => {
  const result = await shardq(['cluster', ...args, '--data-dir', cluster.dataDir, '--json'])
  return { ...result, document: JSON.parse(result.stdout) }
}

async function masters() {
  const { nodes } = await cluster.status()
  return nodes.filter(({ role }) => role === 'master')
}

async function ownerOf(key: string) {
  const slot = slotOf(key)
  const owner = (await masters()).find(({ slots }) => slots.some(([a, b]) => a <= slot && slot <= b))
  if (!owner) throw new Error(`nobody owns slot ${slot}`)
  return owner
}

const expectAllKeys = async () => {
  for (const key of KEYS) expect(await tell((await ownerOf(key)).port, 'GET', key)).toBe(key)
}

it('a fourth master gets its share, and gives it back', async () => {
  for (const key of KEYS) await tell((await ownerOf(key)).port, 'SET', key, key)
  const rules = ['on', '>secret', '~a', '~b', '-@all', '+get', '+set', '(~c -@all +info +time)']
  for (const { port } of cluster.seeds) await tell(port, 'ACL', 'SETUSER', 'reporter', ...rules)
  const [port] = await freePorts(1)
  const added = await local('add-node', '--port', `${port}`, '--rebalance')
  expect(added.code).toBe(0)
  expect(added.document.rebalance).toMatchObject({ left: [], interrupted: false })
  expect((await masters()).map(({ slots }) => countIn(slots))).toEqual([4096, 4096, 4096, 4096])
  const shares: { groups: { q: number } }[] = added.document.rebalance.shares
  expect(shares.map(({ groups }) => groups.q)).toEqual([3, 3, 3, 3])
  await expectAllKeys()
  expect((await readManifest(cluster.dataDir))?.ports).toContain(port)
  expect(await compareUsers(cluster.seeds)).toMatchObject({
    ok: true,
    nodes: { length: 4 },
    users: { length: 2 },
  })
  expect(await readFile(join(cluster.dataDir, `node_${port}`, 'redis.conf'), 'utf8')).toMatch(
    /^user reporter /m,
  )

  const removed = await local('remove-node', `127.0.0.1:${port}`, '--yes')
  expect(removed).toMatchObject({ code: 0, document: { removed: [`127.0.0.1:${port}`], left: [] } })
  expect((await masters()).map(({ slots }) => countIn(slots)).sort()).toEqual([5461, 5461, 5462])
  await expectAllKeys()
  expect(await readdir(cluster.dataDir)).not.toContain(`node_${port}`)
  expect(await readManifest(cluster.dataDir)).toMatchObject({ masters: 3 })
})

it('one of the last three masters is kept', async () => {
  const [first] = cluster.seeds
  const refused = await local('remove-node', `127.0.0.1:${first?.port}`, '--yes')
  expect(refused).toMatchObject({ code: 1, document: { error: { name: 'NodeRefusedError' } } })
  expect(refused.document.error.message).toContain('fewer than 3')
})

it('a server that is no cluster node does not join; nor does anybody leave who is not there', async () => {
  const single = await startSingle()
  try {
    await expect(addNodes(cluster.seeds, [single])).rejects.toThrow('cluster_enabled:0')
  } finally {
    await single.stop()
  }
  await expect(planLocalRemoval('127.0.0.1:1', { dataDir: cluster.dataDir })).rejects.toThrow('no node')
})

it('whoever names a node that is not there is told how to see which are', async () => {
  const [node] = await bareServers(1)
  if (!node) throw new Error('no server')
  const nobody = '127.0.0.1:1'
  for (const refused of [
    () => planRemoval(cluster.seeds, nobody),
    () => planRebalance(cluster.seeds, { weights: { [nobody]: 2 } }),
    () => addNodes(cluster.seeds, [{ ...node, replicaOf: nobody }]),
  ])
    await expect(refused()).rejects.toThrow(`${nobody}; see which it has with: shardq cluster status`)
})

it('half-open slots are finished, and a plan can be for any weight', async () => {
  const [a, b] = await masters()
  if (!a || !b) throw new Error('no masters')
  const [slot = 0] = a.slots[0] ?? []
  await tell(b.port, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', a.id)
  await tell(a.port, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', b.id)
  const plan = await planRebalance(cluster.seeds, { weights: { [`127.0.0.1:${a.port}`]: 0.5 } })
  expect(plan.mends).toHaveLength(1)
  expect(plan.shares.map(({ slotsAfter }) => slotsAfter).sort()).toEqual([3277, 6553, 6554])
  const report = await (await planRebalance(cluster.seeds)).run()
  expect(report).toMatchObject({ interrupted: false, left: [] })
  expect((await masters()).flatMap(({ openSlots }) => openSlots)).toEqual([])
})

it('what an add-node that was killed has left is cleared away by the next `up`', async () => {
  const manifest = await readManifest(cluster.dataDir)
  const [port = 0] = await freePorts(1)
  if (!manifest) throw new Error('no manifest')
  await mkdir(join(cluster.dataDir, `node_${port}`))
  await writeManifest(cluster.dataDir, {
    ...manifest,
    unsettled: { ports: [port], by: { pid: 999_999_999, stamp: 'gone' } },
  })
  await startCluster({ dataDir: cluster.dataDir })
  expect(await readManifest(cluster.dataDir)).toEqual(manifest)
  expect(await readdir(cluster.dataDir)).not.toContain(`node_${port}`)
})
