import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { type LocalCluster, nameOf, planFix, planRemoval } from '../../../src/cluster/index.js'
import { NodeLink, withLink } from '../../../src/cluster/link.js'
import { withLent } from '../../../src/cluster/owed/lend.js'
import type { Unpaid } from '../../../src/cluster/owed/unpaid.js'
import { OWED_KEY } from '../../../src/cluster/own-keys.js'
import { settingOf } from '../../../src/cluster/settings-read.js'
import { eventually } from '../../helpers/behaviour/harness.js'
import { shardq } from '../../helpers/cli.js'
import { tell } from '../../helpers/nodes.js'
import { atNotes, writeNote } from '../../helpers/owed-node.js'
import { openCluster } from '../../helpers/own-cluster.js'

/** What a node had not got back stayed written down, and the operation said that it was done, and ended with 0. */
let cluster: LocalCluster
let dispose: () => Promise<void>
beforeAll(async () => {
  ;({ cluster, dispose } = await openCluster({ masters: 4 }))
}, 60_000)
afterAll(() => dispose?.())

const MIGRATION = 'cluster-allow-replica-migration'
const migrationOf = (port: number) =>
  withLink({ host: '127.0.0.1', port }, {}, (link) => settingOf(link, MIGRATION))

/** The connection breaks before it is told to that node. */
function breakBefore(port: number, value: string): void {
  const { reply } = NodeLink.prototype
  vi.spyOn(NodeLink.prototype, 'reply').mockImplementation(async function (this: NodeLink, name, ...args) {
    const isMeant = this.address.port === port && name === 'CONFIG' && args.includes(MIGRATION)
    if (isMeant && args.includes(value)) await tell(port, 'CLIENT', 'KILL', 'TYPE', 'normal')
    return reply.call(this, name, ...args)
  })
}

it('each command that finds a note which cannot be paid names it, and ends with 1', async () => {
  await writeNote(cluster, 'lent x', 'not JSON')
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await shardq([
      'cluster',
      ...args,
      '--data-dir',
      cluster.dataDir,
      '--json',
    ])
    expect(stderr).not.toContain('Error')
    return { code, ...JSON.parse(stdout) }
  }
  const named = {
    code: 1,
    left: [{ what: expect.stringContaining('1 note'), remedy: expect.stringContaining('HDEL shardq:owed') }],
  }
  const masters = async () => (await cluster.status()).nodes.filter(({ role }) => role === 'master')
  const [first] = await masters()
  if (!first) throw new Error('no master')
  expect(await run('rebalance', '--weight', `${nameOf(first)}=2`, '--yes')).toMatchObject(named)
  const added = await run('add-node', '--replica-of', 'auto')
  expect(added).toMatchObject({ ...named, added: [{ node: expect.any(String) }] })
  const [{ node }] = added.added
  await eventually(async () => expect((await cluster.status()).state).toBe('ok'))
  expect(await run('remove-node', node, '--yes')).toMatchObject({ ...named, removed: [node] })
  await atNotes(cluster, (link) => link.call({ timeoutMs: 5_000 }, 'DEL', OWED_KEY))
}, 120_000)

it('what was lent to a node that does not answer in the end is told, and stays written down', async () => {
  const { nodes } = await cluster.status()
  const [node] = nodes
  if (!node) throw new Error('no node')
  const told: Unpaid[] = []
  const loan = { operation: 'remove-node', nodes: [node], setting: MIGRATION, value: 'no' } as const
  const access = { onUnpaid: (each: Unpaid) => void told.push(each) }
  breakBefore(node.port, 'yes')
  await withLent(cluster.seeds, loan, access, async () => {})
  vi.restoreAllMocks()
  expect(told).toEqual([
    {
      what: expect.stringContaining(`${nameOf(node)} has not got back ${MIGRATION}`),
      why: expect.stringContaining(nameOf(node)),
      remedy: expect.stringContaining('shardq cluster fix'),
    },
  ])
  expect(await migrationOf(node.port)).toBe('no')
  expect((await (await planFix(cluster.seeds)).run()).left).toEqual([])
  expect(await migrationOf(node.port)).toBe('yes')
})

it('remove-node names the node that has not got back what it was lent', async () => {
  const { nodes } = await cluster.status()
  const master = nodes.find(({ role }) => role === 'master')
  const replica = nodes.find(({ masterId }) => masterId === master?.id)
  if (!master || !replica) throw new Error('no shard')
  breakBefore(replica.port, 'yes')
  const report = await (await planRemoval(cluster.seeds, nameOf(master))).run()
  vi.restoreAllMocks()
  expect(report).toMatchObject({
    removed: [nameOf(master)],
    left: [{ what: expect.stringContaining(`${nameOf(replica)} has not got back ${MIGRATION}`) }],
  })
  const staying = cluster.seeds.filter(({ port }) => port !== master.port)
  expect((await (await planFix(staying)).run()).left).toEqual([])
  expect(await migrationOf(replica.port)).toBe('yes')
}, 60_000)
