import { appendFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  type Account,
  addNodes,
  applyUsers,
  FilesEditedError,
  parseAccount,
  planUsers,
} from '../../../src/cluster/index.js'
import { startedAtMs } from '../../../src/cluster/processes.js'
import { type BareServers, openBareServers } from '../../helpers/bare-servers.js'
import { tell } from '../../helpers/nodes.js'
import { until } from '../../helpers/until.js'

/**
 * A server that is to keep its users writes all that it has: over what somebody has edited in its files for the next restart, and what it was
 * told for an hour stays for good. Nobody was told. Three clusters of one node: one with an aclfile, and one of which nobody knows the lines with
 * which it was started.
 */
let plain: BareServers
let withAclFile: BareServers
let unknown: BareServers
let aclFolder: string
let aclFile: string
beforeAll(async () => {
  aclFolder = await mkdtemp(join(tmpdir(), 'shardq-acl-'))
  aclFile = join(aclFolder, 'users.acl')
  await writeFile(aclFile, 'user default on nopass ~* &* +@all\nuser alice on >secret allkeys +get\n')
  const all = [{}, { settings: { aclfile: aclFile } }, {}].map((options) => openBareServers(1, options))
  ;[plain, withAclFile, unknown] = (await Promise.all(all)) as [BareServers, BareServers, BareServers]
  // As where others start it: nobody keeps what it was started with.
  const pidFile = join(folderOf(unknown), 'redis.pid')
  await writeFile(pidFile, (await readFile(pidFile, 'utf8')).split('\n')[0] ?? '')
  for (const one of [plain, withAclFile, unknown]) {
    await tell(portOf(one), 'CLUSTER', 'ADDSLOTSRANGE', 0, 16_383)
    await untilRunning(one)
  }
})
afterAll(async () => {
  for (const each of [plain, withAclFile, unknown]) await each?.dispose()
  await rm(aclFolder, { recursive: true, force: true })
})

/** What is changed within a tenth of a second of the start of a server counts as read by it. */
const untilRunning = async (one: BareServers) => {
  const pid = Number.parseInt(await readFile(join(folderOf(one), 'redis.pid'), 'utf8'), 10)
  const started = (await startedAtMs(pid)) ?? Number.NaN
  await until(
    'it has been running for a while',
    async () => Date.now() - started,
    (ms) => ms > 500,
  )
}

const portOf = ({ nodes }: BareServers) => nodes[0]?.port ?? 0
const folderOf = (one: BareServers) => join(one.folder, `node_${portOf(one)}`)
const confOf = (one: BareServers) => join(folderOf(one), 'redis.conf')
const usersOf = (one: BareServers) => tell(portOf(one), 'ACL', 'LIST')
const apply = (one: BareServers, ...accounts: Account[]) =>
  applyUsers(one.nodes, { accounts, passwords: new Map(accounts.map(({ name }) => [name, 'pw'])) })
const plan = (one: BareServers, ...accounts: Account[]) =>
  planUsers(one.nodes, { accounts, passwords: new Map(accounts.map(({ name }) => [name, 'pw'])) })
const [producer, worker, metrics] = ['producer', 'worker', 'metrics'].map((name) => parseAccount(name)) as [
  Account,
  Account,
  Account,
]

async function refusal(run: Promise<unknown>): Promise<string> {
  const error = await run.then(
    () => null,
    (each: unknown) => each,
  )
  expect(error).toBeInstanceOf(FilesEditedError)
  return (error as Error).message
}

it('refuses, before anything is changed, to write over edits of redis.conf, and names them', async () => {
  const before = await readFile(confOf(plain), 'utf8')
  await writeFile(
    confOf(plain),
    `${before.replace(/^maxmemory .*$/m, 'maxmemory 111mb')}user bob on nopass +get\n`,
  )
  const edited = await readFile(confOf(plain), 'utf8')
  const users = await usersOf(plain)
  for (const run of [plan(plain, producer), apply(plain, producer)]) {
    const message = await refusal(run)
    expect(message).toMatch(/maxmemory 111mb \(now 268435456\)/)
    expect(message).toMatch(/user bob.*CONFIG REWRITE.*rolling-restart/)
  }
  expect(await usersOf(plain)).toBe(users)
  expect(await readFile(confOf(plain), 'utf8')).toBe(edited)
  await writeFile(confOf(plain), before)
})

it('names what a node was told at run time and will have for good, before and after', async () => {
  await tell(portOf(plain), 'CONFIG', 'SET', 'appendfsync', 'no', 'slowlog-max-len', 77)
  await tell(portOf(plain), 'ACL', 'SETUSER', 'guest', 'on', '>secret', '+info')
  const { notes } = await plan(plain, producer)
  expect(notes.join()).toMatch(/for good.*appendfsync everysec \(now no\).*user guest/)
  expect(notes.join()).not.toContain('secret')
  const report = await apply(plain, producer)
  expect(report).toMatchObject({ ok: true, notes })
  expect(await readFile(confOf(plain), 'utf8')).toMatch(/^appendfsync no$/m)
  // What it has written itself is no edit, and what is written down is not said twice.
  expect(await apply(plain, producer, worker)).toMatchObject({ ok: true, notes: [] })
  // Of what it was told afterwards it is known that nobody has edited it.
  await tell(portOf(plain), 'CONFIG', 'SET', 'appendfsync', 'always')
  await tell(portOf(plain), 'ACL', 'SETUSER', 'guest', 'off')
  expect((await plan(plain, producer)).notes.join()).toMatch(/appendfsync no \(now always\).*user guest/)
})

it('what a server has written itself is no edit where nobody knows what it was started with either', async () => {
  expect(await apply(unknown, producer)).toMatchObject({ ok: true })
  expect(await apply(unknown, producer, worker)).toMatchObject({ ok: true })
  await appendFile(confOf(unknown), 'maxmemory 111mb\n')
  expect(await refusal(apply(unknown, metrics))).toMatch(/maxmemory .*111mb/)
  await tell(portOf(unknown), 'CONFIG', 'REWRITE')
  expect(await apply(unknown, metrics)).toMatchObject({ ok: true })
})

it('refuses to write over edits of an aclfile, and takes one that was loaded', async () => {
  expect(await apply(withAclFile, producer)).toMatchObject({ ok: true, notes: [] })
  expect(await apply(withAclFile, producer)).toMatchObject({ ok: true })
  const written = await readFile(aclFile, 'utf8')
  await writeFile(aclFile, written.replace(/^user alice.*\n/m, 'user bob on >secret allkeys +get\n'))
  await appendFile(confOf(withAclFile), 'maxmemory 111mb\n')
  const message = await refusal(apply(withAclFile, worker))
  expect(message).toMatch(/user bob.*ACL LOAD/)
  // Its redis.conf is not written at all.
  expect(message).not.toMatch(/maxmemory|secret/)
  await tell(portOf(withAclFile), 'ACL', 'LOAD')
  expect(await apply(withAclFile, worker)).toMatchObject({ ok: true })
  const after = await readFile(aclFile, 'utf8')
  expect(after).toContain('user bob')
  expect(after).not.toContain('user alice')
  expect(await readFile(confOf(withAclFile), 'utf8')).toContain('maxmemory 111mb')
})

it('a node that joins gets no users where that would write over edits of its files, and a warning', async () => {
  const newcomer = await openBareServers(1)
  try {
    await untilRunning(newcomer)
    await appendFile(confOf(newcomer), 'maxmemory 111mb\n')
    const { added, warnings } = await addNodes(plain.nodes, newcomer.nodes)
    expect(added).toHaveLength(1)
    expect(warnings.join()).toMatch(/could not be given the users.*maxmemory .*111mb \(now 268435456\)/)
    expect(await usersOf(newcomer)).not.toContain('user producer')
    expect(await readFile(confOf(newcomer), 'utf8')).toContain('maxmemory 111mb')
  } finally {
    await newcomer.dispose()
  }
})
