import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest'
import { NodeLink, withLink } from '../../src/cluster/link.js'
import { settleOwed } from '../../src/cluster/owed/settle.js'
import type { Unpaid } from '../../src/cluster/owed/unpaid.js'
import { settingOf } from '../../src/cluster/settings-read.js'
import { tell } from '../helpers/nodes.js'
import { type OwedNode, openOwedNode } from '../helpers/owed-node.js'

/**
 * A node is asked what it has, to be told again what it had. What was not to be seen counted as what it has not lost: the note was removed, and
 * with it the last who knew.
 */
let node: OwedNode
beforeAll(async () => {
  node = await openOwedNode()
}, 60_000)
afterAll(() => node?.dispose())
afterEach(async () => {
  vi.restoreAllMocks()
  // The next one finds a process that nobody has told anything.
  await node.cluster.killNode(node.node.port)
  await node.cluster.restartNode(node.node.port)
})

const SETTING = 'slowlog-max-len'
const others = () => node.cluster.seeds.filter(({ port }) => port !== node.node.port)
const settingNow = () => withLink(node.node, {}, (link) => settingOf(link, SETTING))

/** It had 77, as the others have still. */
async function owe77(): Promise<void> {
  for (const { port } of others()) await tell(port, 'CONFIG', 'SET', SETTING, 77)
  await node.owe({ settings: { [SETTING]: '77' } })
}

async function settle(access = {}) {
  const left: Unpaid[] = []
  const settled = await settleOwed(node.cluster.seeds, access, (each) => left.push(each))
  return { settled, left }
}

/** Before it sends this to that node, once, its connections break. */
function breakBefore(command: string, ...first: string[]): void {
  const { reply } = NodeLink.prototype
  let broke = false
  vi.spyOn(NodeLink.prototype, 'reply').mockImplementation(async function (this: NodeLink, name, ...args) {
    const isMeant = name === command && first.every((word, i) => args[i] === word)
    if (isMeant && !broke && this.address.port === node.node.port) {
      broke = true
      await tell(node.node.port, 'CLIENT', 'KILL', 'TYPE', 'normal')
    }
    return reply.call(this, name, ...args)
  })
}

it.each([
  ['CONFIG', 'GET', '*'],
  ['ACL', 'LIST'],
])('a link that breaks before %s %s: it is told the next time', async (...call) => {
  await owe77()
  breakBefore(...(call as [string, ...string[]]))
  const { settled, left } = await settle()
  expect(settled).toEqual([])
  expect(left).toMatchObject([{ what: expect.stringContaining(`${node.node.port} has not got back`) }])
  expect(await node.notes()).toEqual([`restarted ${node.node.id}`])
  vi.restoreAllMocks()

  expect((await settle()).settled).toMatchObject([{ due: { settings: new Map([[SETTING, '77']]) } }])
  expect(await settingNow()).toBe('77')
  expect(await node.notes()).toEqual([])
})

it.each([
  ['config|get', { settings: { [SETTING]: '77' } }],
  ['acl|list', { users: ['user reporter on # ~* &* +@all'] }],
])('a user who may not run %s removes no note', async (command, told) => {
  await node.owe(told)
  for (const { port } of node.cluster.seeds)
    await tell(port, 'ACL', 'SETUSER', 'half', 'on', '>secret', '~*', '&*', '+@all', `-${command}`)
  const { settled, left } = await settle({ username: 'half', password: 'secret' })
  expect(settled).toEqual([])
  expect(left).toMatchObject([
    { why: expect.stringContaining(`does not permit its user to run '${command}'`) },
  ])
  expect(await node.notes()).toEqual([`restarted ${node.node.id}`])
  for (const { port } of node.cluster.seeds) await tell(port, 'ACL', 'DELUSER', 'half')
})

it('what somebody has told the process since is older than the note, though its counts were reset', async () => {
  await owe77()
  await tell(node.node.port, 'CONFIG', 'SET', SETTING, 55)
  await tell(node.node.port, 'CONFIG', 'RESETSTAT')
  const { settled } = await settle()
  expect(settled).toMatchObject([{ due: { settings: new Map(), unknown: [`${SETTING} 77 (now 55)`] } }])
  expect(await settingNow()).toBe('55')
})
