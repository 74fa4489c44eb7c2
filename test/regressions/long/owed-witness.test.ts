import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { nameOf, planFix } from '../../../src/cluster/index.js'
import { withLink } from '../../../src/cluster/link.js'
import { settleOwed } from '../../../src/cluster/owed/settle.js'
import { OPERATION_KEY, OWED_KEY } from '../../../src/cluster/own-keys.js'
import { settingOf } from '../../../src/cluster/settings-read.js'
import { slotOf } from '../../../src/keys/slots.js'
import { eventually } from '../../helpers/behaviour/harness.js'
import { owns, tell } from '../../helpers/nodes.js'
import { type OwedNode, openOwedNode } from '../../helpers/owed-node.js'

/**
 * A restarted node is told only what another node has too. Where that other one did not answer for a moment, or did not let us look, it counted as
 * one that has it not: `fix` named the setting once and removed the note, and nobody knew of it any more.
 */
let node: OwedNode
beforeAll(async () => {
  node = await openOwedNode()
}, 60_000)
afterAll(() => node?.dispose())

const SETTING = 'slowlog-max-len'
const settingNow = () => withLink(node.node, {}, (link) => settingOf(link, SETTING))

/** The node had 77, as one master has still: neither its own, nor one that serves the lock or the notes. */
async function owe77() {
  const { nodes } = await node.cluster.status()
  const witness = nodes.find(
    (each) =>
      each.role === 'master' &&
      each.id !== node.node.id &&
      ![OPERATION_KEY, OWED_KEY].some((key) => owns(each, slotOf(key))),
  )
  if (!witness) throw new Error('no master that serves neither')
  await tell(witness.port, 'CONFIG', 'SET', SETTING, 77)
  await node.owe({ settings: { [SETTING]: '77' } })
  return witness
}

afterEach(async () => {
  await eventually(async () => expect((await node.cluster.status()).state).toBe('ok'), 20_000)
  for (const { port } of node.cluster.seeds) await tell(port, 'CONFIG', 'SET', SETTING, 128)
  // The next one finds a process that nobody has told anything.
  await node.cluster.killNode(node.node.port)
  await node.cluster.restartNode(node.node.port)
})

it('a node that does not let us look has not said that it has it not: its note stays', async () => {
  const witness = await owe77()
  for (const { port } of node.cluster.seeds)
    await tell(port, 'ACL', 'SETUSER', 'half', 'on', '>secret', '~*', '&*', '+@all')
  await tell(witness.port, 'ACL', 'SETUSER', 'half', '-config|get')
  const half = { username: 'half', password: 'secret' }
  const left: string[] = []
  await settleOwed(node.cluster.seeds, half, ({ what, why }) => left.push(`${what}: ${why}`))
  expect(left).toEqual([expect.stringMatching(new RegExp(`${SETTING}.*${nameOf(witness)}.*config\\|get`))])
  await (await planFix(node.cluster.seeds, half)).run()
  expect(await node.notes()).toEqual([`restarted ${node.node.id}`])
  for (const { port } of node.cluster.seeds) await tell(port, 'ACL', 'DELUSER', 'half')
})

it('nor has one that stands still', async () => {
  const witness = await owe77()
  await node.cluster.freezeNode(witness.port)
  try {
    const { done, left } = await (await planFix(node.cluster.seeds, { agreeMs: 0 })).run({
      evenIfChanged: true,
    })
    expect(done.map(({ kind }) => kind)).not.toContain('give-back')
    expect(left).toContainEqual({
      what: expect.stringContaining(`${nameOf(node.node)} has not got back`),
      why: expect.stringMatching(new RegExp(`${SETTING}.*${nameOf(witness)}`)),
      remedy: expect.stringContaining('shardq cluster fix'),
    })
    expect(await node.notes()).toEqual([`restarted ${node.node.id}`])
    expect(await settingNow()).toBe('128')
  } finally {
    await node.cluster.resumeNode(witness.port)
  }
  await eventually(async () => expect((await node.cluster.status()).state).toBe('ok'), 20_000)
  expect((await (await planFix(node.cluster.seeds)).run()).left).toEqual([])
  expect(await settingNow()).toBe('77')
  expect(await node.notes()).toEqual([])
})
