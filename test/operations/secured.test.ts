import type { ChildProcess } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type LocalCluster, openCluster as openLocal } from '../../src/cluster/index.js'
import { withLink } from '../../src/cluster/link.js'
import { TaskQueue } from '../../src/index.js'
import { shardq } from '../helpers/cli.js'
import { commandLines, consecutivePorts } from '../helpers/machine.js'
import { openLoad, type SteadyLoad } from '../helpers/steady-load.js'

/** Modest: what is asked is whether they work together, not how fast. */
const RATE = 500
const SECRET = 'the-secret-of-this-test'

/** All that changes a cluster, one after the other, on one that nobody else can read or enter, while tasks go through it. */
describe('a cluster with TLS and a password, by its data folder alone', () => {
  let folder: string
  let dataDir: string
  let restored: string
  let cluster: LocalCluster
  let load: SteadyLoad
  let child: ChildProcess | undefined

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shardq-secured-'))
    dataDir = join(folder, 'cluster')
    restored = join(folder, 'restored')
    await writeFile(join(folder, 'given'), `${SECRET}\n`)
    const base = String(await consecutivePorts(6))
    await succeed('cluster', 'up', '--tls', '--password-file', join(folder, 'given'), '--base-port', base)
    cluster = await opened()
    ;({ load, child } = await openLoad(cluster.connection, { rate: RATE }))
  })

  afterAll(async () => {
    child?.kill('SIGKILL')
    for (const dir of [dataDir, restored])
      await shardq(['cluster', 'stop', '--data-dir', dir], { cwd: folder })
    await rm(folder, { recursive: true, force: true })
  })

  const opened = async (dir = dataDir) => {
    const found = await openLocal(dir)
    if (!found) throw new Error('no cluster')
    return found
  }
  const run = async (args: readonly string[], dir = dataDir) => {
    const result = await shardq([...args, '--data-dir', dir], { cwd: folder })
    expect(result.stdout + result.stderr).not.toContain(SECRET)
    return result
  }
  /** @returns its document */
  const succeed = async (...args: readonly string[]) => {
    const { code, stdout, stderr } = await run([...args, '--json'])
    expect({ code, stderr, said: code === 0 ? '' : stdout }).toEqual({ code: 0, stderr: '', said: '' })
    return JSON.parse(stdout)
  }
  const nothingWrong = async () => {
    const { findings, notes } = await succeed('cluster', 'check')
    expect({ findings, notes }).toMatchObject({ findings: [] })
  }
  const mastersOf = async () =>
    (await (await opened()).status()).nodes.filter(({ role }) => role === 'master').map(({ port }) => port)
  let added: string[] = []

  it('no process shows the password', async () => {
    for (const command of await commandLines()) expect(command).not.toContain(SECRET)
  })

  it('users, before there are new nodes', async () => {
    expect(await succeed('cluster', 'users', 'apply', '--passwords', 'secrets', '--yes')).toMatchObject({
      ok: true,
    })
    await nothingWrong()
  })

  it('add-node: a master with its replica, then a replica alone', async () => {
    const first = await succeed('cluster', 'add-node', '--rebalance')
    expect(first).toMatchObject({ added: [{ replicaOf: null }, {}], rebalance: { left: [] } })
    const second = await succeed('cluster', 'add-node', '--replica-of', 'auto')
    expect(second.added).toHaveLength(1)
    added = [...first.added, ...second.added].map(({ node }: { node: string }) => node)
    expect(await succeed('cluster', 'status')).toMatchObject({ state: 'ok', answered: 9 })
  })

  it('they have the users that the others have; check finds one that lacks them, apply gives them', async () => {
    expect(await succeed('cluster', 'users', 'compare')).toMatchObject({ ok: true, users: { length: 5 } })
    await nothingWrong()
    const [name = ''] = added
    const [host = '', port] = name.split(':')
    await withLink({ host, port: Number(port) }, cluster.access, (link) =>
      link.text('ACL', 'DELUSER', 'producer'),
    )
    const { code, stdout } = await run(['cluster', 'check', '--strict', '--json'])
    expect(JSON.parse(stdout).findings).toMatchObject([{ check: 'users-differ', nodes: [name] }])
    expect(code).toBe(1)
    expect((await run(['cluster', 'users', 'compare'])).code).toBe(1)
    expect(await succeed('cluster', 'users', 'apply', '--yes')).toMatchObject({ ok: true })
    await nothingWrong()
  })

  it('rebalance, to and fro', async () => {
    const [port] = cluster.seeds.map(({ port }) => port)
    for (const weight of [2, 1]) {
      const name = `127.0.0.1:${port}=${weight}`
      expect(await succeed('cluster', 'rebalance', '--weight', name, '--yes')).toMatchObject({ left: [] })
    }
    await nothingWrong()
  })

  it('rolling-restart, roles restored', async () => {
    const before = await mastersOf()
    const { done, left } = await succeed('cluster', 'rolling-restart', '--restore-roles', '--yes')
    expect({ done: done.length, left }).toEqual({ done: 9, left: [] })
    expect(await mastersOf()).toEqual(before)
    await nothingWrong()
  })

  it('backup, verify, and restore into a new cluster that is as secured', async () => {
    await fill(await opened())
    await succeed('cluster', 'backup', '--to', 'backup')
    const verified = await shardq(['cluster', 'backup', 'verify', 'backup', '--json'], { cwd: folder })
    expect(verified.code, verified.stdout).toBe(0)
    const given = ['--tls', '--password-file', join(folder, 'given')]
    const refused = await run(['cluster', 'restore', '--from', 'backup', '--tls', '--json'])
    expect(JSON.parse(refused.stdout).error.message).toContain('--masters')
    const base = String(await consecutivePorts(6))
    const args = ['--masters', '3', '--base-port', base, ...given, '--json']
    const result = await run(['cluster', 'restore', '--from', 'backup', ...args], restored)
    expect(result.code, result.stdout + result.stderr).toBe(0)
    const other = await opened(restored)
    expect(Object.keys(other.access).sort()).toEqual(['password', 'tls'])
    const queue = new TaskQueue('kept', { connection: other.connection })
    await queue.connect()
    expect((await queue.depth()).ready.medium).toBe(300)
    await queue.disconnect()
    const check = await run(['cluster', 'check', '--json'], restored)
    expect(JSON.parse(check.stdout)).toMatchObject({ findings: [] })
    expect((await run(['cluster', 'stop', '--json'], restored)).code).toBe(0)
  })

  it('fix has nothing to do; firewall, drill', async () => {
    expect(await succeed('cluster', 'fix', '--dry-run')).toMatchObject({ steps: [] })
    await succeed('cluster', 'firewall', '--clients', '10.0.1.0/24')
    expect(await succeed('cluster', 'drill', '--kind', 'kill', '--yes')).toMatchObject({ passed: true })
    await nothingWrong()
  })

  it('remove-node: what was added goes again', async () => {
    const { nodes } = await (await opened()).status()
    const nameOf = ({ host, port }: { host: string; port: number }) => `${host}:${port}`
    // The lone replica first, wherever it is by now, and then a master with its replica.
    const isAdded = (node: { host: string; port: number }) => added.includes(nameOf(node))
    const shardsOf = (id: string | null) => nodes.filter(({ masterId }) => masterId === id)
    const spare = nodes.find(
      (node) => node.role === 'replica' && isAdded(node) && shardsOf(node.masterId).length > 1,
    )
    if (!spare) throw new Error('no replica too many')
    expect(await succeed('cluster', 'remove-node', nameOf(spare), '--yes')).toMatchObject({ left: [] })
    const rest = (await (await opened()).status()).nodes
    const master = rest.find((node) => node.role === 'master' && isAdded(node))
    if (!master) throw new Error('no master among those that were added')
    const removed = await succeed('cluster', 'remove-node', nameOf(master), '--with-replicas', '--yes')
    expect(removed).toMatchObject({ left: [] })
    expect(removed.removed).toHaveLength(2)
    await nothingWrong()
    expect(await succeed('cluster', 'status')).toMatchObject({ state: 'ok', answered: 6 })
  })

  it('nothing was lost meanwhile, and no file of ours told the password', async () => {
    const report = await load.stop()
    console.log(report)
    expect(report).toMatchObject({ lost: 0, rejected: 0 })
    for (const command of await commandLines()) expect(command).not.toContain(SECRET)
    expect(await readFile(join(dataDir, 'cluster.json'), 'utf8')).not.toContain(SECRET)
  })
})

async function fill(cluster: LocalCluster): Promise<void> {
  const queue = new TaskQueue('kept', { connection: cluster.connection })
  await queue.connect()
  await queue.enqueueMany(Array.from({ length: 300 }, (_, n) => ({ type: 'job', data: n })))
  await queue.disconnect()
}
