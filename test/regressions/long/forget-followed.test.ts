import { expect, it } from 'vitest'
import { readManifest } from '../../../src/cluster/data-dir.js'
import { carryOut } from '../../../src/cluster/fix/carry-out.js'
import { addLocalNodes } from '../../../src/cluster/index.js'
import { leaveOutForgotten } from '../../../src/cluster/membership/forgotten.js'
import { Nodes } from '../../../src/cluster/move/nodes.js'
import { StepRefused } from '../../../src/cluster/move/party.js'
import { openCluster } from '../../../src/cluster/open.js'
import { eventually } from '../../helpers/behaviour/harness.js'
import { shardq } from '../../helpers/cli.js'
import { tell } from '../../helpers/nodes.js'
import { ownCluster } from '../../helpers/own-cluster.js'

/** A new master, which has no slots yet, is dead, and its replica, which nobody promotes, lives. */
async function deadWithoutSlots() {
  const cluster = await ownCluster()
  const { dataDir } = cluster
  const { added } = await addLocalNodes({ dataDir, masters: 1, replicasPerMaster: 1 })
  const { nodes } = await cluster.status()
  const isAdded = (port: number) => added.some(({ node }) => node.endsWith(`:${port}`))
  const master = nodes.find(({ role, port }) => role === 'master' && isAdded(port))
  const replica = nodes.find(({ masterId }) => masterId === master?.id)
  const seed = nodes.find(({ slots }) => slots.length > 0)
  if (!master || !replica || !seed) throw new Error('no shard')
  await (await openCluster(dataDir))?.killNode(master.port)
  const others = nodes.filter(({ id }) => id !== master.id)
  const views = () => Promise.all(others.map(({ port }) => tell(port, 'CLUSTER', 'NODES')))
  await eventually(async () => {
    for (const view of await views()) expect(view).toMatch(new RegExp(`^${master.id} \\S+ master,fail `, 'm'))
  }, 15_000)
  const type = (...args: string[]) => shardq(['cluster', ...args, '--data-dir', dataDir])
  const forget = () => type('fix', '--yes', '--forget', `127.0.0.1:${master.port}`)
  /** Types what it says. */
  const obey = async (said: string) => {
    const [, id] =
      new RegExp(`redis-cli -h 127.0.0.1 -p ${replica.port} CLUSTER REPLICATE (\\w+)`).exec(said) ?? []
    expect(nodes.find((node) => node.id === id)?.slots).toHaveLength(1)
    await tell(replica.port, 'CLUSTER', 'REPLICATE', id ?? '')
  }
  const expectWell = async () => {
    expect(await forget()).toMatchObject({ code: 0, stderr: '' })
    expect((await readManifest(dataDir))?.ports).not.toContain(master.port)
    expect(await type('stop')).toMatchObject({ code: 0, stderr: '' })
    expect(await type('up')).toMatchObject({ code: 0, stderr: '' })
    for (const view of await views()) expect(view).not.toContain(master.id)
  }
  return { dataDir, master, replica, others, views, forget, obey, expectWell }
}

it('a node is not forgotten as long as a replica follows it that could not forget it', async () => {
  const { master, replica, others, views, forget, obey, expectWell } = await deadWithoutSlots()
  const refused = await forget()
  expect(refused.code).toBe(2)
  expect(refused.stderr).toContain(`127.0.0.1:${replica.port} follows it`)
  for (const view of await views()) expect(view).toContain(master.id)

  // It follows it only since the plan was made.
  const party = ({ id, host, port }: typeof master) => ({ id, host, port, name: `${host}:${port}` })
  const nodes = new Nodes({})
  const step = { kind: 'forget', node: party(master), at: others.map(party) } as const
  const done = await carryOut(nodes, step, [], { bigKeys: false, bigKeyBytes: 0 }).catch(
    (error: Error) => error,
  )
  await nodes.close()
  expect(done).toBeInstanceOf(StepRefused)
  expect(String(done)).toContain(`127.0.0.1:${replica.port} follows it`)
  for (const view of await views()) expect(view).toContain(master.id)

  await obey(refused.stderr)
  await expectWell()
}, 90_000)

it('a node that all have forgotten but a replica which follows it stays one of the data folder', async () => {
  const { dataDir, master, replica, others, forget, obey, expectWell } = await deadWithoutSlots()
  for (const { port } of others) if (port !== replica.port) await tell(port, 'CLUSTER', 'FORGET', master.id)
  expect(await leaveOutForgotten(dataDir)).toEqual([])
  expect((await readManifest(dataDir))?.ports).toContain(master.port)
  await obey((await forget()).stderr)
  await expectWell()
}, 90_000)
