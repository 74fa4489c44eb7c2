import { afterAll, beforeAll, expect, it } from 'vitest'
import { type LocalCluster, planFix } from '../../src/cluster/index.js'
import { withLink } from '../../src/cluster/link.js'
import { KeyLink } from '../../src/cluster/operation/key-link.js'
import { filesOf } from '../../src/cluster/owed/files.js'
import { settleOwed } from '../../src/cluster/owed/settle.js'
import { parseFields } from '../../src/cluster/replies.js'
import { settingsOf } from '../../src/cluster/settings-read.js'
import { eventually } from '../helpers/behaviour/harness.js'
import { tell } from '../helpers/nodes.js'
import { openCluster } from '../helpers/own-cluster.js'

/**
 * What nodes are owed lies in the cluster, where an application writes that may neither configure a server nor make users. Carried out by
 * whoever runs the next operation, a note of its own making gave it both.
 */
let cluster: LocalCluster
let dispose: () => Promise<void>
let id: string
/** Of the files of that node, which whoever is on its host may know. */
let files: string | undefined
beforeAll(async () => {
  ;({ cluster, dispose } = await openCluster())
  // A process that nobody has told anything since it was started.
  const node = (await cluster.status()).nodes.find(({ role }) => role === 'replica')
  if (!node) throw new Error('no replica')
  id = node.id
  await cluster.killNode(node.port)
  await cluster.restartNode(node.port)
  files = await withLink({ host: '127.0.0.1', port: node.port }, {}, async (link) => {
    return (await filesOf(link, parseFields(await link.text('INFO', 'server'))))?.mark
  })
  expect(files).toBeDefined()
  await eventually(async () => {
    expect(await tell(node.port, 'INFO', 'replication')).toContain('master_link_status:up')
  }, 15_000)
}, 60_000)
afterAll(() => dispose?.())

const RESTARTED = {
  kind: 'restarted',
  operation: 'rolling-restart',
  run: 'another process',
  server: null,
  settings: {},
  byDefault: null,
  secrets: [],
  users: [],
}

async function write(field: string, note: unknown): Promise<void> {
  const link = new KeyLink(cluster.seeds, {})
  try {
    await link.call({ timeoutMs: 1_000 }, 'DEL', 'shardq:owed')
    await link.call({ timeoutMs: 1_000 }, 'HSET', 'shardq:owed', field, JSON.stringify(note))
  } finally {
    link.close()
  }
}

const all = (...command: string[]) =>
  Promise.all(cluster.seeds.map(({ port }) => tell(port, ...(command as [string]))))

/** A server tells its settings in another order each time. */
const settings = () =>
  Promise.all(
    cluster.seeds.map((address) => withLink(address, {}, async (link) => new Map(await settingsOf(link)))),
  )

it('makes no user, and sets nothing, that no other node has', async () => {
  await write(`restarted ${id}`, {
    ...RESTARTED,
    id,
    files,
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
  await write(`lent ${id}`, {
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
    const link = new KeyLink(cluster.seeds, {})
    try {
      await link.call({ timeoutMs: 1_000 }, 'DEL', 'shardq:owed')
      await link.call({ timeoutMs: 1_000 }, 'HSET', 'shardq:owed', `restarted ${id}`, text)
    } finally {
      link.close()
    }
    expect(await settleOwed(cluster.seeds, {})).toEqual([])
    expect((await planFix(cluster.seeds)).steps).toEqual([])
  },
)
