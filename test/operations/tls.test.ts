import { spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { type LocalCluster, openCluster as openLocal } from '../../src/cluster/index.js'
import { withLink } from '../../src/cluster/link.js'
import { AuthenticationError, TaskQueue } from '../../src/index.js'
import { bundleBehaviour } from '../helpers/behaviour/bundles.js'
import { lostWorkerBehaviour } from '../helpers/behaviour/lost-worker.js'
import { manyBehaviour } from '../helpers/behaviour/many.js'
import { peekBehaviour } from '../helpers/behaviour/peek.js'
import { queueBehaviour } from '../helpers/behaviour/queue.js'
import { workerBehaviour } from '../helpers/behaviour/worker.js'
import { MAIN, shardq } from '../helpers/cli.js'
import { Exposition } from '../helpers/exposition.js'
import { commandLines, consecutivePorts } from '../helpers/machine.js'
import { openCluster } from '../helpers/own-cluster.js'

/** All that a queue does, over TLS, with a password and a certificate of the client. */
describe('on a cluster with TLS and a password', () => {
  let cluster: LocalCluster
  let dispose: () => Promise<void>

  beforeAll(async () => {
    ;({ cluster, dispose } = await openCluster({
      password: true,
      tls: true,
      settings: { 'cluster-node-timeout': '2000' },
    }))
  })

  afterAll(() => dispose?.())

  const connection = () => cluster.connection
  describe('a queue', () => queueBehaviour(connection))
  describe('bundles', () => bundleBehaviour(connection))
  describe('many tasks', () => manyBehaviour(connection))
  describe('peek', () => peekBehaviour(connection))
  describe('a worker', () => workerBehaviour(connection))
  describe('tasks of a lost worker', () => lostWorkerBehaviour(connection))
})

/** From the first command to the last, over a cluster that the command line has made. */
describe('the commands, on a cluster with TLS and a password', () => {
  const secret = 'the-secret-of-this-test'
  const NEXT = 'the-next-secret-of-this-test'
  let folder: string
  let dataDir: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shardq-tls-'))
    dataDir = join(folder, 'cluster')
    await writeFile(join(folder, 'given'), `${secret}\n`)
  })

  afterAll(async () => {
    await shardq(['cluster', 'stop', '--data-dir', dataDir])
    await rm(folder, { recursive: true, force: true })
  })

  const run = async (...args: readonly string[]) => {
    const result = await shardq([...args, '--data-dir', dataDir], { cwd: folder })
    expect(result.stdout + result.stderr).not.toMatch(/secret-of-this-test/)
    return result
  }

  it('up makes certificates and takes the password from a file; no list of processes shows it', async () => {
    const base = await consecutivePorts(6)
    const { code, stderr } = await run(
      ...['cluster', 'up', '--tls', '--password-file', join(folder, 'given'), '--base-port', String(base)],
    )
    expect(stderr).toBe('')
    expect(code).toBe(0)
    for (const command of await commandLines()) expect(command).not.toContain(secret)
    expect(await readFile(join(dataDir, 'cluster.json'), 'utf8')).not.toContain(secret)
  })

  it('metrics', async () => {
    const child = spawn(process.execPath, [MAIN, 'metrics', '--port', '0', '--data-dir', dataDir], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    onTestFinished(() => void child.kill('SIGKILL'))
    for await (const line of createInterface({ input: child.stdout })) {
      const [url = ''] = /http:\S+(?=\/metrics)/.exec(line) ?? []
      expect((await Exposition.of(url)).values('redis_up')).toEqual([1, 1, 1, 1, 1, 1])
      break
    }
  })

  it('fix finishes a move: servers hand over keys by TLS, too', async () => {
    const cluster = await openLocal(dataDir)
    if (!cluster) throw new Error('no cluster')
    const [from, to] = cluster.seeds
    if (!from || !to) throw new Error('no nodes')
    const link = <T>(index: number, use: Parameters<typeof withLink<T>>[2]) =>
      withLink(cluster.seeds[index] ?? from, cluster.access, use)
    const slot = 0
    const names = ['a', 'b', 'c'].map((name) => `{fHh}${name}`)
    const [fromId, toId] = await Promise.all(
      [0, 1].map((i) => link(i, (node) => node.text('CLUSTER', 'MYID'))),
    )
    await link(0, async (node) => {
      for (const name of names) await node.text('SET', name, name)
      expect(Number(await node.text('CLUSTER', 'KEYSLOT', names[0] ?? ''))).toBe(slot)
    })
    await link(1, (node) => node.text('CLUSTER', 'SETSLOT', slot, 'IMPORTING', fromId ?? ''))
    await link(0, async (node) => {
      await node.text('CLUSTER', 'SETSLOT', slot, 'MIGRATING', toId ?? '')
      await node.text('MIGRATE', to.host, to.port, names[0] ?? '', 0, 5_000, 'AUTH', secret)
    })
    const { code, stderr } = await run('cluster', 'fix', '--yes')
    expect(stderr).toBe('')
    expect(code).toBe(0)
    await link(1, async (node) => {
      for (const name of names) expect(await node.text('GET', name)).toBe(name)
      for (const name of names) await node.text('DEL', name)
    })
  })

  it.each(['failover', 'kill'])('drill %s', async (kind) => {
    const { code, stdout } = await run('cluster', 'drill', '--kind', kind, '--yes', '--json')
    const { checks } = JSON.parse(stdout) as { checks: { check: string; passed: boolean }[] }
    // How long an enqueue took is told, and depends on what else this machine does.
    const failed = checks.filter(({ check, passed }) => !passed && !check.startsWith('longest enqueue'))
    expect(failed).toEqual([])
    expect([0, 1]).toContain(code)
  })

  it('the password is changed while it runs, as docs/security.md says', async () => {
    const cluster = await openLocal(dataDir)
    if (!cluster) throw new Error('no cluster')
    const everywhere = (password: string, ...commands: readonly string[][]) =>
      Promise.all(
        cluster.seeds.map((seed) =>
          withLink(seed, { ...cluster.access, password }, async (link) => {
            for (const [name = '', ...args] of commands) expect(await link.text(name, ...args)).toBe('OK')
          }),
        ),
      )
    const work = async (password: string) => {
      const queue = new TaskQueue('over-tls', { connection: { ...cluster.connection, password } })
      await queue.connect()
      await queue.enqueue('a', 1)
      return queue
    }
    const before = await work(secret)
    await everywhere(secret, ['ACL', 'SETUSER', 'default', `>${NEXT}`])
    await before.enqueue('a', 1)
    const after = await work(NEXT)
    await before.disconnect()
    await everywhere(secret, ['CONFIG', 'SET', 'masterauth', NEXT])
    await everywhere(NEXT, ['CONFIG', 'SET', 'requirepass', NEXT], ['CONFIG', 'REWRITE'])
    await after.enqueue('a', 1)
    await after.disconnect()
    await expect(everywhere(secret, ['PING'])).rejects.toThrow(AuthenticationError)
    await writeFile(join(dataDir, 'password'), `${NEXT}\n`)
    expect((await run('cluster', 'check')).code).toBe(0)
    // What follows starts everything anew, from what was rewritten.
  })

  it('stop, and up again, with nothing said of either', async () => {
    expect((await run('cluster', 'stop')).code).toBe(0)
    expect((await run('cluster', 'up')).code).toBe(0)
    const { stdout } = await run('cluster', 'status', '--json')
    expect(JSON.parse(stdout)).toMatchObject({ state: 'ok', answered: 6 })
    expect((await run('cluster', 'check')).code).toBe(0)
  })
})
