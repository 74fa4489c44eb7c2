import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { readManifest } from '../../../src/cluster/data-dir.js'
import {
  ClusterNotReadyError,
  type LocalCluster,
  NodeRefusedError,
  nameOf,
  planRemoval,
  type RemoveOptions,
} from '../../../src/cluster/index.js'
import type { Address } from '../../../src/cluster/link.js'
import { clearUnsettled, markUnsettled } from '../../../src/cluster/membership/unsettled.js'
import { tagForSlot } from '../../../src/keys/slots.js'
import { eventually } from '../../helpers/behaviour/harness.js'
import { tell } from '../../helpers/nodes.js'
import { openCluster } from '../../helpers/own-cluster.js'

/**
 * A master with two replicas, of which one answers and has no link: `remove-node` of the other one ended with 0, and RESET flushed the last copy.
 * What counted were lines of CLUSTER NODES.
 */
let cluster: LocalCluster
let dispose: () => Promise<void>
let master: Address
let good: Address
let bad: Address
let key: string

beforeAll(async () => {
  ;({ cluster, dispose } = await openCluster({ replicasPerMaster: 2 }))
  const { nodes } = await cluster.status()
  const first = nodes.find(({ role }) => role === 'master')
  const [one, other] = nodes.filter(({ masterId }) => masterId === first?.id)
  if (!first || !one || !other) throw new Error('no shard')
  ;[master, good, bad] = [first, one, other]
  key = `{${tagForSlot(first.slots[0]?.[0] ?? -1)}}key`
})
afterAll(() => dispose())

beforeEach(async () => {
  await tell(bad.port, 'CONFIG', 'SET', 'masteruser', '', 'masterauth', '')
  await linkOfBad('up')
})

const linkOfBad = (status: string) =>
  eventually(
    async () => expect(await tell(bad.port, 'INFO', 'replication')).toContain(`master_link_status:${status}`),
    20_000,
  )

/** As with a password that was changed everywhere else. What is written from now on, it has not. */
async function breakLink(): Promise<void> {
  await tell(bad.port, 'CONFIG', 'SET', 'masteruser', 'nobody', 'masterauth', 'wrong')
  await tell(bad.port, 'CLIENT', 'KILL', 'TYPE', 'master')
  await linkOfBad('down')
  await tell(master.port, 'SET', key, 'on two machines')
}

/** What a removal leaves in the data folder that is killed. */
async function cutOff(): Promise<void> {
  const manifest = await readManifest(cluster.dataDir)
  if (!manifest) throw new Error('no manifest')
  await markUnsettled(cluster.dataDir, manifest, [good.port])
}

const remove = async (node: Address, options: RemoveOptions = {}) =>
  (await planRemoval(cluster.seeds, nameOf(node), options)).run()
const dataOf = (node: Address) => tell(node.port, 'DBSIZE')
const whyNot = () => `${nameOf(bad)} has no link to its master`

it('is not removed, unless the master may be without', async () => {
  await breakLink()
  const problem = await remove(good).catch((error: Error) => error)
  expect(problem).toBeInstanceOf(NodeRefusedError)
  expect(String(problem)).toContain(`${nameOf(master)} would have no replica with all of its data`)
  expect(String(problem)).toContain(whyNot())
  expect(String(problem)).toContain('--leave-unprotected')
  expect(await planRemoval(cluster.seeds, nameOf(good), { leaveUnprotected: true })).toMatchObject({
    removes: [nameOf(good)],
  })
  expect(await planRemoval(cluster.seeds, nameOf(bad))).toMatchObject({ removes: [nameOf(bad)] })
})

it('nor when the other one loses its link just before it would be forgotten', async () => {
  await expect(remove(good, { onEmpty: breakLink })).rejects.toThrow(whyNot())
  expect(await tell(master.port, 'CLUSTER', 'NODES')).toContain(`127.0.0.1:${good.port}@`)
  expect(Number(await dataOf(good))).toBeGreaterThan(0)
})

it('nor ended with its folder, when a removal was cut off before it was forgotten: it is a node like any other again', async () => {
  await breakLink()
  await cutOff()
  const manifest = await clearUnsettled(cluster.dataDir)
  expect(manifest).toMatchObject({ ports: expect.arrayContaining([good.port]) })
  expect(manifest?.unsettled).toBeUndefined()
  expect(await tell(master.port, 'CLUSTER', 'NODES')).toContain(`127.0.0.1:${good.port}@`)
})

it('nor reset, when the other one falls silent after it was forgotten; typed again when the link is there, it goes', async () => {
  const pid = Number(/process_id:(\d+)/.exec(await tell(bad.port, 'INFO', 'server'))?.[1])
  const onStep: RemoveOptions['onStep'] = ({ step }) => {
    if (step === 'forgotten') process.kill(pid, 'SIGSTOP')
  }
  const problem = await remove(good, { onStep })
    .catch((error: Error) => error)
    .finally(() => process.kill(pid, 'SIGCONT'))
  expect(problem).toBeInstanceOf(ClusterNotReadyError)
  expect(String(problem)).toContain(`shardq cluster remove-node ${nameOf(good)}`)
  expect(Number(await dataOf(good))).toBeGreaterThan(0)
  await linkOfBad('up')
  await breakLink()
  const seeds = cluster.seeds.filter(({ port }) => port !== good.port)
  const again = async () => (await planRemoval(seeds, nameOf(good))).run()
  await expect(again()).rejects.toThrow(whyNot())
  expect(Number(await dataOf(good))).toBeGreaterThan(0)
  await cutOff()
  expect(await clearUnsettled(cluster.dataDir)).toMatchObject({ unsettled: { ports: [good.port] } })
  expect(Number(await dataOf(good))).toBeGreaterThan(0)
  await tell(bad.port, 'CONFIG', 'SET', 'masteruser', '', 'masterauth', '')
  await linkOfBad('up')
  expect(await again()).toEqual({ removed: [nameOf(good)], left: [] })
  expect(await dataOf(good)).toBe('0')
})
