import { afterAll, beforeAll, expect, it } from 'vitest'
import { type LocalCluster, planFix } from '../../src/cluster/index.js'
import { withLink } from '../../src/cluster/link.js'
import { settleOwed } from '../../src/cluster/owed/settle.js'
import { settingsOf } from '../../src/cluster/settings-read.js'
import { tell } from '../helpers/nodes.js'
import { type OwedNode, openOwedNode, writeNote } from '../helpers/owed-node.js'

/**
 * What nodes are owed lies in the cluster, where an application writes that may neither configure a server nor make users. Carried out by
 * whoever runs the next operation, a note of its own making gave it both.
 */
let node: OwedNode
let cluster: LocalCluster
beforeAll(async () => {
  node = await openOwedNode()
  cluster = node.cluster
}, 60_000)
afterAll(() => node?.dispose())

const all = (...command: string[]) =>
  Promise.all(cluster.seeds.map(({ port }) => tell(port, ...(command as [string]))))

/** A server tells its settings in another order each time. */
const settings = () =>
  Promise.all(
    cluster.seeds.map((address) => withLink(address, {}, async (link) => new Map(await settingsOf(link)))),
  )

it('makes no user, and sets nothing, that no other node has', async () => {
  await node.owe({
    settings: { 'slowlog-max-len': '5', 'protected-mode': 'no', requirepass: 'of the attacker' },
    users: ['user evil on nopass ~* &* +@all', 'user default on nopass resetkeys -@all'],
  })
  const before = await settings()
  const users = await all('ACL', 'LIST')

  const [settled] = await settleOwed(cluster.seeds, {})
  expect(settled?.due).toMatchObject({ users: [], settings: new Map() })
  expect(settled?.due.unknown).toContain('slowlog-max-len 5 (now 128)')
  expect(settled?.due.unknown).toContain('user evil')
  expect(JSON.stringify(settled?.due)).not.toContain('of the attacker')
  expect(await all('ACL', 'LIST')).toEqual(users)
  expect(await settings()).toEqual(before)

  const { left } = await (await planFix(cluster.seeds)).run()
  expect(left).toMatchObject([{ what: expect.stringContaining('is yours to set') }])
  expect(await all('ACL', 'LIST')).toEqual(users)
  expect(await settings()).toEqual(before)
})

it('lends no setting but those that operations lend', async () => {
  const { id } = node.node
  await writeNote(cluster, `lent ${id}`, {
    kind: 'lent',
    operation: 'remove-node',
    id,
    settings: { 'slowlog-max-len': { was: '5', lent: '128' } },
  })
  expect(await settleOwed(cluster.seeds, {})).toEqual([])
  expect(await all('CONFIG', 'GET', 'slowlog-max-len')).toEqual(
    cluster.seeds.map(() => expect.stringContaining('128')),
  )
})

it.each([['null'], ['{}'], ['[1]'], ['{"kind":"restarted","id":1}'], ['not JSON']])(
  'what is no note is nobody’s to give back: %s',
  async (text) => {
    await writeNote(cluster, `restarted ${node.node.id}`, text)
    expect(await settleOwed(cluster.seeds, {})).toEqual([])
    expect((await planFix(cluster.seeds)).steps).toEqual([])
  },
)
