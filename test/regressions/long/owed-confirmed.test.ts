import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { LocalCluster, NodeView } from '../../../src/cluster/index.js'
import { NodeLink, withLink } from '../../../src/cluster/link.js'
import { withLent } from '../../../src/cluster/owed/lend.js'
import { OWED_KEY } from '../../../src/cluster/own-keys.js'
import { settingOf } from '../../../src/cluster/settings-read.js'
import { slotOf } from '../../../src/keys/slots.js'
import { eventually } from '../../helpers/behaviour/harness.js'
import { owns, tell } from '../../helpers/nodes.js'
import { openCluster } from '../../helpers/own-cluster.js'

/**
 * A setting is changed only when its note is at a replica: else a master that dies takes with it the last who knows what it was. Whatever WAIT
 * said, and where it said nothing, the setting was changed all the same.
 */
let cluster: LocalCluster
let dispose: () => Promise<void>
let master: NodeView
let replica: NodeView
let node: NodeView
beforeEach(async () => {
  // No failover, and no replica that counts as failed, as long as it stands still here.
  ;({ cluster, dispose } = await openCluster({ settings: { 'cluster-node-timeout': '60000' } }))
  const { nodes } = await cluster.status()
  const find = (is: (each: NodeView) => boolean) => {
    const found = nodes.find(is)
    if (!found) throw new Error('no such node')
    return found
  }
  master = find((each) => each.role === 'master' && owns(each, slotOf(OWED_KEY)))
  replica = find(({ masterId }) => masterId === master.id)
  node = find((each) => each.role === 'master' && each.id !== master.id)
}, 60_000)
afterEach(async () => {
  vi.restoreAllMocks()
  await dispose()
})

const SETTING = 'cluster-allow-replica-migration'
const LAZY = 'lazyfree-lazy-server-del'
const now = (setting: string) => withLink(node, {}, (link) => settingOf(link, setting))
const notes = () => tell(master.port, 'HKEYS', OWED_KEY)

it('a note that no replica has confirmed: the setting is not changed', async () => {
  const loan = { operation: 'remove-node', nodes: [node], setting: SETTING, value: 'no' } as const
  const lazy = {
    operation: 'move of slots',
    nodes: [node],
    setting: LAZY,
    value: 'yes',
    optional: true,
  } as const
  await cluster.freezeNode(replica.port)
  const run = vi.fn(async () => now(LAZY))
  await expect(withLent(cluster.seeds.slice(0, 3), loan, {}, run)).rejects.toThrow(
    expect.objectContaining({
      name: 'UnconfirmedNoteError',
      message: expect.stringMatching(new RegExp(`127.0.0.1:${master.port}.*shardq cluster check`)),
    }),
  )
  expect(run).not.toHaveBeenCalled()
  expect(await now(SETTING)).toBe('yes')
  expect(await notes()).toBe('')
  // What can be done without is done without.
  expect(await withLent(cluster.seeds.slice(0, 3), lazy, {}, run)).toBe('no')
  await cluster.resumeNode(replica.port)
  await eventually(async () =>
    expect(await withLent(cluster.seeds.slice(0, 3), loan, {}, () => now(SETTING))).toBe('no'),
  )
  expect(await now(SETTING)).toBe('yes')
}, 60_000)

it('a connection that breaks before the confirmation has confirmed nothing: it is written once more', async () => {
  const { reply } = NodeLink.prototype
  const sent: string[] = []
  vi.spyOn(NodeLink.prototype, 'reply').mockImplementation(async function (this: NodeLink, name, ...args) {
    if (name === 'WAIT' && !sent.includes('WAIT')) await tell(master.port, 'CLIENT', 'KILL', 'TYPE', 'normal')
    if (name === 'WAIT' || (name === 'EVAL' && args.includes(OWED_KEY))) sent.push(name)
    return reply.call(this, name, ...args)
  })
  const loan = { operation: 'remove-node', nodes: [node], setting: SETTING, value: 'no' } as const
  expect(await withLent([master], loan, {}, () => now(SETTING))).toBe('no')
  expect(sent).toEqual(['EVAL', 'WAIT', 'EVAL', 'WAIT'])
}, 60_000)

it('a master without a replica has nobody to confirm it: its note comes back with it', async () => {
  await cluster.killNode(replica.port)
  await tell(master.port, 'CLUSTER', 'FORGET', replica.id)
  const loan = { operation: 'remove-node', nodes: [node], setting: SETTING, value: 'no' } as const
  expect(await withLent(cluster.seeds, loan, {}, () => now(SETTING))).toBe('no')
}, 60_000)
