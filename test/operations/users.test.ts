import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { compareUsers, inspect, type LocalCluster, planFix, startSingle } from '../../src/cluster/index.js'
import { withLink } from '../../src/cluster/link.js'
import { TaskQueue } from '../../src/index.js'
import { queueKey } from '../../src/keys/keys.js'
import { slotOf } from '../../src/keys/slots.js'
import { startEndpoint } from '../../src/metrics/index.js'
import { bundleBehaviour } from '../helpers/behaviour/bundles.js'
import { eventually } from '../helpers/behaviour/harness.js'
import { lostWorkerBehaviour } from '../helpers/behaviour/lost-worker.js'
import { manyBehaviour } from '../helpers/behaviour/many.js'
import { peekBehaviour } from '../helpers/behaviour/peek.js'
import { queueBehaviour } from '../helpers/behaviour/queue.js'
import { workerBehaviour } from '../helpers/behaviour/worker.js'
import { type CliResult, shardq } from '../helpers/cli.js'
import { watchCommands } from '../helpers/commands-by-user.js'
import { openCluster, ownCluster } from '../helpers/own-cluster.js'
import { tempDir } from '../helpers/temp-dir.js'
import { ACCOUNTS, accessAs, connectAs, makeUsers, passwordOf, refusalsOn } from '../helpers/users.js'

let cluster: LocalCluster
let dispose: () => Promise<void>

beforeAll(async () => {
  const opened = await openCluster()
  cluster = opened.cluster
  dispose = opened.dispose
  await makeUsers(cluster.seeds)
})

afterAll(() => dispose())

describe('the whole behaviour of queues and workers, with a generated user', () => {
  const connection = () => connectAs('both', cluster.seeds)
  queueBehaviour(connection)
  workerBehaviour(connection)
  lostWorkerBehaviour(connection)
  bundleBehaviour(connection)
  manyBehaviour(connection)
  peekBehaviour(connection)

  it('needed nothing else, but for what health() can do without', async () => {
    const refusals = await refusalsOn(cluster.seeds)
    expect(refusals.filter((refusal) => refusal.startsWith('both'))).toEqual(['both: config|get'])
  })
})

describe('rights that are seldom used', () => {
  it('ping: a single server', async () => {
    const single = await startSingle()
    const url = new URL(single.url)
    const node = { host: url.hostname, port: Number(url.port) }
    try {
      await makeUsers([node])
      const watch = await watchCommands([node])
      const commands = await watch.during(async () => {
        const queue = new TaskQueue('single', {
          connection: { mode: 'single', url: single.url, ...accessAs('both') },
        })
        await queue.connect()
        await queue.enqueue('note', 1)
        const [delivery] = await queue.dequeue({ blockMs: 2_000 })
        await delivery?.complete()
        await queue.disconnect()
      })
      watch.close()
      expect(commands).toContain('ping')
    } finally {
      await single.stop()
    }
  })

  it('asking: a slot that is being moved, which an operator then finishes', async () => {
    // A call with several keys would wait for the end of the move; to open a queue takes one.
    const slot = slotOf(queueKey('moving'))
    const { nodes } = await cluster.status()
    const owner = nodes.find(({ slots }) => slots.some(([first, last]) => first <= slot && slot <= last))
    const other = nodes.find(({ role, id }) => role === 'master' && id !== owner?.id)
    if (!owner || !other) throw new Error('no masters')
    await withLink(other, {}, (link) => link.text('CLUSTER', 'SETSLOT', slot, 'IMPORTING', owner.id))
    await withLink(owner, {}, (link) => link.text('CLUSTER', 'SETSLOT', slot, 'MIGRATING', other.id))
    const watch = await watchCommands([owner, other])
    const queue = new TaskQueue('moving', { connection: connectAs('both', cluster.seeds) })
    const commands = await watch.during(() => queue.connect())
    watch.close()
    expect(commands).toContain('asking')
    const plan = await planFix(cluster.seeds, accessAs('operator'))
    expect(plan.steps).toMatchObject([{ kind: 'finish', slot }])
    expect(await plan.run()).toMatchObject({ left: [], openSlots: 0 })
    await queue.disconnect()
  })
})

describe('every command of shardq', () => {
  const node = () => `127.0.0.1:${cluster.seeds[0]?.port}`
  const run = (user: string, ...args: string[]) =>
    shardq([...args, '--node', node(), '--json'], {
      env: { SHARDQ_REDIS_USERNAME: user, SHARDQ_REDIS_PASSWORD: passwordOf(user) },
    })
  const succeeded = ({ code, stdout, stderr }: CliResult) => {
    expect({ code, stderr, error: code === 0 ? '' : stdout }).toEqual({ code: 0, stderr: '', error: '' })
    return JSON.parse(stdout)
  }

  it('as an operator', async () => {
    const queue = new TaskQueue('commands', { connection: connectAs('both', cluster.seeds) })
    await queue.connect()
    await queue.enqueue('note', 1)
    const [delivery] = await queue.dequeue({ blockMs: 2_000 })
    await delivery?.fail(new Error('no'), { retry: false })
    await queue.disconnect()
    expect(succeeded(await run('operator', 'cluster', 'status')).state).toBe('ok')
    const check = succeeded(await run('operator', 'cluster', 'check'))
    expect({ findings: check.findings, denied: check.notes.filter(isDenial) }).toEqual({
      findings: [],
      denied: [],
    })
    succeeded(await run('operator', 'doctor'))
    succeeded(await run('operator', 'cluster', 'fix', '--yes'))
    succeeded(await run('operator', 'cluster', 'users', 'compare'))
    succeeded(await run('operator', 'queue', 'list'))
    for (const command of ['stats', 'peek', 'pause', 'resume'])
      succeeded(await run('operator', 'queue', command, 'commands'))
    expect(succeeded(await run('operator', 'queue', 'dead', 'list', 'commands')).items).toHaveLength(1)
    succeeded(await run('operator', 'queue', 'dead', 'retry', 'commands', '--all'))
    succeeded(await run('operator', 'queue', 'dead', 'purge', 'commands', '--yes'))
    expect(succeeded(await run('operator', 'cluster', 'drill', '--kind', 'failover', '--yes')).passed).toBe(
      true,
    )
    expect((await refusalsOn(cluster.seeds)).filter((refusal) => refusal.startsWith('operator'))).toEqual([])
  })

  it('as a metrics user: those that only look', async () => {
    expect(succeeded(await run('metrics', 'cluster', 'status')).queues.error).toBeNull()
    succeeded(await run('metrics', 'queue', 'list'))
    succeeded(await run('metrics', 'queue', 'stats'))
    const check = succeeded(await run('metrics', 'cluster', 'check'))
    expect(check.notes.filter(isDenial).length).toBeGreaterThan(0)
    const fix = await run('metrics', 'queue', 'pause', 'commands')
    expect(fix.code).toBe(1)
    expect(JSON.parse(fix.stdout).error).toMatchObject({
      name: 'NotPermittedError',
      missing: "run 'evalsha'",
    })
    const endpoint = await startEndpoint({ connection: connectAs('metrics', cluster.seeds), port: 0 })
    const text = await (await fetch(`${endpoint.url}/metrics`)).text()
    await endpoint.close()
    expect(text.match(/^redis_up\{.*\} 1$/gm)).toHaveLength(6)
    expect(text).toMatch(/^task_queue_\w+\{.*commands.*\} /m)
  })
})

const isDenial = (note: string) => note.includes('does not let us')

describe('shardq cluster users apply', () => {
  it('names a node that does not answer, and goes on there when it is run again', async () => {
    const own = await ownCluster()
    const dir = await tempDir()
    const frozen = own.nodes.find(({ role }) => role === 'replica')?.port ?? 0
    const apply = (...more: string[]) =>
      shardq(
        [
          'cluster',
          'users',
          'apply',
          '--data-dir',
          own.dataDir,
          '--passwords',
          join(dir, 's'),
          '--yes',
          ...more,
        ],
        { cwd: dir },
      )
    await own.freezeNode(frozen)
    const first = await apply('--json')
    await own.resumeNode(frozen)
    expect(first.code).toBe(1)
    const failed = JSON.parse(first.stdout).nodes.filter(
      (node: { error: string | null }) => node.error !== null,
    )
    expect(failed).toMatchObject([{ node: `127.0.0.1:${frozen}`, changed: [], persisted: null }])
    const second = await apply()
    expect(second).toMatchObject({ code: 0, stderr: '' })
    expect(second.stdout).toContain('the same users on 6 nodes')
    expect((await compareUsers(own.seeds)).ok).toBe(true)

    // A restart loses none of it.
    await own.killNode(frozen, 'SIGTERM')
    await own.restartNode(frozen)
    expect(await compareUsers(own.seeds)).toMatchObject({ ok: true, users: { length: 5 } })
    const password = await readFile(join(dir, 's', 'producer.password'), 'utf8')
    for (const { stdout, stderr } of [first, second])
      expect(stdout + stderr).not.toMatch(new RegExp(`[0-9a-f]{64}|${password.trim()}`))
  })

  it('switches the default user off only where nobody is locked out', async () => {
    const own = await ownCluster()
    const dir = await tempDir()
    const node = `127.0.0.1:${own.seeds[0]?.port}`
    const apply = (...more: string[]) =>
      shardq(['cluster', 'users', 'apply', '--node', node, '--yes', '--json', '--disable-default', ...more], {
        cwd: dir,
      })
    const errorOf = ({ stdout }: CliResult) => JSON.parse(stdout).error
    const local = await shardq(
      ['cluster', 'users', 'apply', '--data-dir', own.dataDir, '--disable-default', '--yes', '--json'],
      { cwd: dir },
    )
    expect(local.code).toBe(2)
    expect(errorOf(local).message).toContain('`cluster stop` log in')
    const early = await apply('--passwords', 's')
    expect(errorOf(early)).toMatchObject({ name: 'LockOutError' })
    expect(errorOf(early).reasons).toHaveLength(6)
    expect(errorOf(early).reasons[0]).toContain('replicas log in')
    expect((await inspect(own.seeds[0] ?? { host: '', port: 0 })).state).toBe('ok')
    expect(errorOf(await apply('--replication', '--user', 'metrics')).message).toContain(
      'has no password yet',
    )

    const done = await apply('--passwords', 's', '--replication')
    expect(done.code).toBe(0)
    expect(JSON.parse(done.stdout)).toMatchObject({ ok: true, defaultUser: 'off' })
    const operator = {
      username: 'operator',
      password: (await readFile(join(dir, 's', 'operator.password'), 'utf8')).trim(),
    }
    try {
      await expect(inspect(own.seeds[0] ?? { host: '', port: 0 })).rejects.toThrow('refused the credentials')
      for (const { dir: folder } of own.nodes)
        expect(await readFile(join(folder, 'redis.conf'), 'utf8')).toContain('user default off')
      // Replicas that have to log in anew do so as `replica`.
      const onEach = <T>(use: Parameters<typeof withLink<T>>[2]) =>
        Promise.all(own.seeds.map((seed) => withLink(seed, operator, use)))
      await onEach((link) => link.text('CLIENT', 'KILL', 'TYPE', 'replica'))
      await eventually(async () => {
        const infos = await onEach((link) => link.text('INFO', 'replication'))
        expect(infos.filter((info) => info.includes('master_link_status:up'))).toHaveLength(3)
        expect(infos.filter((info) => /slave0:.*state=online/.test(info))).toHaveLength(3)
      }, 10_000)
    } finally {
      // `stop` of the data folder logs in as the default user.
      for (const seed of own.seeds)
        await withLink(seed, operator, (link) => link.text('ACL', 'SETUSER', 'default', 'on'))
    }
  })

  it('keeps users in the aclfile where there is one', async () => {
    const file = join(await tempDir(), 'users.acl')
    await writeFile(file, '')
    const own = await ownCluster({ replicasPerMaster: 0, settings: { aclfile: JSON.stringify(file) } })
    await makeUsers(own.seeds)
    const [first] = own.seeds
    if (!first) throw new Error('no node')
    expect((await readFile(file, 'utf8')).match(/^user /gm)).toHaveLength(ACCOUNTS.length + 1)
    await withLink(first, {}, (link) => link.text('ACL', 'LOAD'))
    expect((await compareUsers(own.seeds, { accounts: ACCOUNTS })).ok).toBe(true)
  })
})
