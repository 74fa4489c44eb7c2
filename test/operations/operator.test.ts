import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type Address, findServer, nameOf } from '../../src/cluster/index.js'
import type { ClusterConnectionOptions } from '../../src/connection/options.js'
import { type BareServers, openBareServers, RESTART } from '../helpers/bare-servers.js'
import { type CliResult, shardq } from '../helpers/cli.js'
import { openLoad } from '../helpers/steady-load.js'
import { refusalsOn } from '../helpers/users.js'

/**
 * Servers that run elsewhere, with TLS and a password: made a cluster, given users, and then run by the operator alone, as
 * docs/users.md has it.
 */
const SECRET = 'the-secret-of-this-test'
const MASTERAUTH = `masterauth ${SECRET}`
const RATE = 500

let folder: string
let servers: BareServers
const more: BareServers[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shardq-operator-'))
  expect((await shardq(['cluster', 'certificates', '--to', 'tls'], { cwd: folder })).code).toBe(0)
  servers = await openBareServers(6, { password: SECRET, tlsDir: join(folder, 'tls'), lines: [MASTERAUTH] })
})

afterAll(async () => {
  await Promise.all([servers, ...more].map((each) => each?.dispose()))
  await rm(folder, { recursive: true, force: true })
})

const TLS_FILES = {
  SHARDQ_REDIS_TLS_CA_FILE: 'tls/ca.crt',
  SHARDQ_REDIS_TLS_CERT_FILE: 'tls/client.crt',
  SHARDQ_REDIS_TLS_KEY_FILE: 'tls/client.key',
}
const asDefault = { ...TLS_FILES, SHARDQ_REDIS_PASSWORD: SECRET }
const asOperator = {
  ...TLS_FILES,
  SHARDQ_REDIS_USERNAME: 'operator',
  SHARDQ_REDIS_PASSWORD_FILE: 'secrets/operator.password',
}
const listed = (nodes: readonly Address[]) => nodes.map(nameOf).join()
const first = (of = servers) => nameOf(of.nodes[0] as Address)
const run = (env: NodeJS.ProcessEnv, args: readonly string[]) =>
  shardq(['cluster', ...args, '--json'], { cwd: folder, env })
const document = ({ code, stdout, stderr }: CliResult) => {
  expect(stdout + stderr).not.toContain(SECRET)
  expect({ code, stderr, said: code === 0 ? '' : stdout }).toEqual({ code: 0, stderr: '', said: '' })
  return JSON.parse(stdout)
}
const operate = async (...args: readonly string[]) =>
  document(await run(asOperator, [...args, '--node', first()]))

/** With the users that the nodes have, in its redis.conf before it starts. */
async function another(count: number, lines: readonly string[]): Promise<BareServers> {
  const opened = await openBareServers(count, { password: SECRET, tlsDir: join(folder, 'tls'), lines })
  more.push(opened)
  return opened
}

async function usersOf({ nodes, folder }: BareServers): Promise<string[]> {
  const config = await readFile(join(folder, `node_${nodes[0]?.port}`, 'redis.conf'), 'utf8')
  return config.split('\n').filter((line) => line.startsWith('user ') && !line.startsWith('user default'))
}

async function connectionTo(nodes: readonly Address[]): Promise<ClusterConnectionOptions> {
  const [ca, cert, key] = await Promise.all(
    Object.values(TLS_FILES).map((file) => readFile(join(folder, file), 'utf8')),
  )
  return { mode: 'cluster', nodes, password: SECRET, tls: { ca, cert, key } }
}

it('create, and users apply, as the default user', async () => {
  const refused = await run(TLS_FILES, ['create', '--nodes', listed(servers.nodes), '--yes'])
  expect(refused.code).toBe(1)
  document(await run(asDefault, ['create', '--nodes', listed(servers.nodes), '--yes']))
  const apply = ['users', 'apply', '--passwords', 'secrets', '--yes', '--node', first()]
  expect(document(await run(asDefault, apply))).toMatchObject({ ok: true })
})

it('the operator adds, moves, restarts, saves and removes, while tasks go through it', async () => {
  const connection = await connectionTo(servers.nodes)
  const { child, load } = await openLoad(connection, { rate: RATE })
  try {
    const strange = await another(1, [])
    const refused = await run(asOperator, ['add-node', first(strange), '--node', first()])
    expect(refused.stdout).toContain(first(strange))
    expect(refused.code).toBe(1)

    const users = await usersOf(servers)
    expect(users).toHaveLength(4)
    const added = await another(3, users)
    const [master, replica, lone] = added.nodes.map(nameOf) as [string, string, string]
    const ours = ['--replicas-per-master', '1', '--rebalance']
    const report = await operate('add-node', master, replica, ...ours)
    expect(report).toMatchObject({ added: [{ node: master }, { node: replica, replicaOf: master }] })
    expect(await operate('add-node', lone, '--replica-of', 'auto')).toMatchObject({ added: [{ node: lone }] })
    expect(await operate('users', 'compare')).toMatchObject({ ok: true })
    for (const weight of [2, 1])
      expect(await operate('rebalance', '--weight', `${first()}=${weight}`, '--yes')).toMatchObject({
        left: [],
      })

    await writeFile(join(folder, 'restart'), RESTART)
    const { path } = await findServer()
    const places = [servers, added].map((each) => `'${each.folder}/node_{port}'`).join(' ')
    const command = `for dir in ${places}; do if [ -d "$dir" ]; then sh '${folder}/restart' '${path}' "$dir"; fi; done`
    const rolled = await operate('rolling-restart', '--restart-command', command, '--restore-roles', '--yes')
    expect({ done: rolled.done.length, left: rolled.left }).toEqual({ done: 9, left: [] })

    await operate('backup', '--to', 'backup')
    const empty = await another(3, [MASTERAUTH, ...users])
    const make = ['create', '--nodes', listed(empty.nodes), '--replicas-per-master', '0', '--yes']
    document(await run(asOperator, make))
    const restored = await run(asOperator, ['restore', '--from', 'backup', '--node', first(empty)])
    // Each of them was compared.
    expect(document(restored).keys).toBeGreaterThan(0)

    expect(await operate('fix', '--dry-run')).toMatchObject({ steps: [] })
    const removed = await operate('remove-node', lone, '--yes')
    expect(removed).toMatchObject({ removed: [lone], left: [] })
    const both = await operate('remove-node', master, '--with-replicas', '--yes')
    expect(both).toMatchObject({ left: [] })
    const { findings, notes } = await operate('check')
    expect({ findings, denied: notes.filter((note: string) => note.includes('does not let us')) }).toEqual({
      findings: [],
      denied: [],
    })
    const everywhere = [...servers.nodes, ...added.nodes, ...empty.nodes]
    expect((await refusalsOn(everywhere, connection)).filter((each) => each.startsWith('operator'))).toEqual(
      [],
    )
    const account = await load.stop()
    console.log(account)
    expect(account).toMatchObject({ lost: 0, rejected: 0 })
  } finally {
    child.kill('SIGKILL')
  }
})
