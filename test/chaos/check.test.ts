import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, readFile, rm, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { NodeLink } from '../../src/cluster/link.js'
import {
  type CheckReport,
  checkCluster,
  diagnose,
  findServer,
  freePorts,
  inspect,
  type LocalCluster,
} from '../../src/cluster.js'
import { shellWord } from '../../src/shell.js'
import { shardq } from '../helpers/cli.js'
import { openCluster, ownCluster } from '../helpers/own-cluster.js'
import { until } from '../helpers/until.js'

const PASSWORD = 'secret-of-the-test'
const QUICK = { settleMs: 50 }

const namesOf = ({ findings }: CheckReport) => [...new Set(findings.map(({ check }) => check))].sort()

/** One cluster, broken in one way after the other, and mended each time. */
describe('a check of a running cluster', () => {
  let cluster: LocalCluster
  let dispose: () => Promise<void>
  let links: NodeLink[]

  beforeAll(async () => {
    ;({ cluster, dispose } = await openCluster({ settings: { requirepass: PASSWORD } }))
    links = await Promise.all(cluster.seeds.map((seed) => NodeLink.open(seed, cluster.access)))
  })

  afterAll(async () => {
    for (const link of links ?? []) link.close()
    await dispose?.()
  })

  /** What broke a node is mended by the test; then every node has to be as before, or the next test would not mean much. */
  afterEach(async () => {
    const found = async () => (await check()).findings.map(({ seen }) => seen)
    await until('nothing is wrong', found, (seen) => seen.length === 0, 10_000)
  })

  const check = () => checkCluster(cluster.seeds, { ...cluster.access, ...QUICK })
  const name = (index: number) => `127.0.0.1:${cluster.seeds[index]?.port}`
  const link = (index: number) => links[index] as NodeLink
  const port = (index: number) => cluster.seeds[index]?.port ?? 0
  const setting = (index: number, setting: string, value: string | number) =>
    link(index).text('CONFIG', 'SET', setting, value)

  /** Until all these were found at once, in whatever else. */
  const found = (...names: string[]) =>
    until(
      names.join(', '),
      async () => {
        const report = await check()
        return { names: namesOf(report), report }
      },
      (seen) => names.every((each) => seen.names.includes(each)),
      10_000,
    ).then(({ report }) => report)

  /** Links to a node that was away are gone. */
  async function relink(index: number): Promise<void> {
    link(index).close()
    const seed = cluster.seeds[index]
    if (seed) links[index] = await NodeLink.open(seed, cluster.access)
  }

  const findingOf = (report: CheckReport, check: string) => {
    const finding = report.findings.find((each) => each.check === check)
    if (!finding) throw new Error(`${check} was not found, but ${namesOf(report)}`)
    return finding
  }

  it('finds nothing where nothing is wrong, and says what it looked at', async () => {
    const report = await check()
    expect(report).toMatchObject({ ok: true, findings: [] })
    expect(report.nodes.map(({ role }) => role).sort()).toEqual([
      ...['master', 'master', 'master', 'replica', 'replica', 'replica'],
    ])
    expect(report.checks.length).toBeGreaterThan(40)
    expect(report.notes).toEqual([expect.stringContaining('nothing here survives the loss of that machine')])
  })

  it('masterauth-missing, and no password in what it says', async () => {
    await setting(3, 'masterauth', '')
    const report = await check()
    expect(namesOf(report)).toEqual(['masterauth-missing'])
    expect(findingOf(report, 'masterauth-missing')).toMatchObject({
      severity: 'error',
      nodes: [name(3)],
      mend: [expect.stringContaining('-x CONFIG SET masterauth'), expect.stringContaining('CONFIG REWRITE')],
    })
    expect(JSON.stringify(report)).not.toContain(PASSWORD)
    await setting(3, 'masterauth', PASSWORD)
  })

  it('replica-link-down: cluster_state says ok, and the shard has no replica', async () => {
    await setting(3, 'masterauth', 'another')
    await link(3).text('CLIENT', 'KILL', 'TYPE', 'master')
    const report = await found('replica-link-down', 'masterauth-missing', 'master-without-replica')
    expect(findingOf(report, 'replica-link-down')).toMatchObject({
      nodes: [name(3)],
      mend: [expect.stringMatching(/CLUSTER REPLICATE [0-9a-f]{40}$/)],
    })
    expect((await inspect(cluster.seeds[0] ?? { host: '', port: 0 }, cluster.access)).state).toBe('ok')
    await setting(3, 'masterauth', PASSWORD)
  })

  it('open-slots, on both sides', async () => {
    const [from, to] = await Promise.all([link(0).text('CLUSTER', 'MYID'), link(1).text('CLUSTER', 'MYID')])
    await link(0).text('CLUSTER', 'SETSLOT', 5, 'MIGRATING', to)
    await link(1).text('CLUSTER', 'SETSLOT', 5, 'IMPORTING', from)
    const report = await check()
    expect(namesOf(report)).toEqual(['open-slots'])
    expect(report.findings.map(({ nodes }) => nodes[0]).sort()).toEqual([name(0), name(1)].sort())
    expect(report.findings.map(({ mend }) => mend)).toEqual([['shardq cluster fix'], ['shardq cluster fix']])
    await link(0).text('CLUSTER', 'SETSLOT', 5, 'STABLE')
    await link(1).text('CLUSTER', 'SETSLOT', 5, 'STABLE')
  })

  it('wrong-node-keys: a key that came in while its slot was being moved, and was left there', async () => {
    const slot = Number(await link(1).text('CLUSTER', 'KEYSLOT', 'foo')) // 12182, of the third master
    const owner = await link(2).text('CLUSTER', 'MYID')
    await link(1).text('CLUSTER', 'SETSLOT', slot, 'IMPORTING', owner)
    await link(1).text('ASKING')
    await link(1).text('SET', 'foo', 'lost')
    await link(1).text('CLUSTER', 'SETSLOT', slot, 'STABLE')
    const report = await check()
    expect(namesOf(report)).toEqual(['wrong-node-keys'])
    expect(findingOf(report, 'wrong-node-keys')).toMatchObject({
      nodes: [name(1)],
      seen: expect.stringContaining(`1 key in 1 slot that others serve: ${slot}`),
    })
    await link(1).text('CLUSTER', 'SETSLOT', slot, 'IMPORTING', owner)
    await link(1).text('ASKING')
    await link(1).text('DEL', 'foo')
    await link(1).text('CLUSTER', 'SETSLOT', slot, 'STABLE')
  })

  it('slots-unassigned and views-differ: a slot taken from its owner, of which the others do not know', async () => {
    await link(0).text('CLUSTER', 'DELSLOTS', 7)
    const report = await check()
    expect(namesOf(report)).toEqual(['slots-unassigned', 'views-differ'])
    expect(findingOf(report, 'slots-unassigned').seen).toBe('1 of 16384 slots have no owner: 7')
    await link(0).text('CLUSTER', 'ADDSLOTS', 7)
  })

  it('handshake-pending: a node that was to be met and is not there', async () => {
    const [nobody = 0] = await freePorts(1)
    await link(0).text('CLUSTER', 'MEET', '127.0.0.1', nobody)
    expect(findingOf(await found('handshake-pending'), 'handshake-pending').nodes).toContain(name(0))
  })

  it('eviction-policy, full-coverage, persistence-off, maxmemory-unset, and that one node is not as the others', async () => {
    const [limit] = ((await link(0).reply('CONFIG', 'GET', 'maxmemory')) as string[]).slice(1)
    const [save] = ((await link(0).reply('CONFIG', 'GET', 'save')) as string[]).slice(1)
    await setting(0, 'maxmemory-policy', 'allkeys-lru')
    await setting(0, 'maxmemory', 0)
    await setting(0, 'cluster-require-full-coverage', 'yes')
    await setting(0, 'appendonly', 'no')
    await setting(0, 'save', '')
    const report = await check()
    expect(report.ok).toBe(true)
    expect(namesOf(report).filter((check) => check !== 'overcommit')).toEqual([
      ...['eviction-policy', 'full-coverage', 'maxmemory-unset', 'persistence-off', 'settings-differ'],
    ])
    for (const { nodes, severity } of report.findings) {
      expect(severity).toBe('warning')
      expect(nodes).toEqual([name(0)])
    }
    // What is advised makes it as the others are.
    const advised = report.findings
      .filter(({ check }) => check === 'settings-differ')
      .map(({ mend }) => mend[0])
    expect(advised).toContain(`redis-cli -h 127.0.0.1 -p ${port(0)} CONFIG SET save '${save}'`)
    await setting(0, 'maxmemory-policy', 'noeviction')
    await setting(0, 'maxmemory', limit ?? '')
    await setting(0, 'cluster-require-full-coverage', 'no')
    await setting(0, 'save', save ?? '')
    await setting(0, 'appendonly', 'yes')
  })

  it('memory-high and maxmemory-reached, by what the server itself counts', async () => {
    const [limit] = ((await link(0).reply('CONFIG', 'GET', 'maxmemory')) as string[]).slice(1)
    const used = Number(/used_memory:(\d+)/.exec(await link(0).text('INFO', 'memory'))?.[1])
    await setting(0, 'maxmemory', Math.round(used / 0.88))
    expect(findingOf(await check(), 'memory-high')).toMatchObject({ severity: 'warning', nodes: [name(0)] })
    await setting(0, 'maxmemory', Math.round(used / 2))
    await expect(link(0).text('SET', '{5}', 'x')).rejects.toThrow(/OOM|MOVED/)
    expect(findingOf(await check(), 'maxmemory-reached')).toMatchObject({
      severity: 'error',
      nodes: [name(0)],
    })
    await setting(0, 'maxmemory', limit ?? '')
  })

  it('rdb-failing: a snapshot that cannot be put in its place', async () => {
    const file = join(cluster.nodes[0]?.dir ?? '', 'dump.rdb')
    await rm(file, { force: true })
    await mkdir(file)
    await link(0).text('BGSAVE')
    const report = await found('rdb-failing')
    expect(findingOf(report, 'rdb-failing')).toMatchObject({
      nodes: [name(0)],
      seen: expect.stringContaining('writes are refused until it can'),
    })
    await rmdir(file)
    await link(0).text('BGSAVE')
  })

  it('aof-failing: a rewrite that cannot be put in its place', async () => {
    const folder = join(cluster.nodes[0]?.dir ?? '', 'appendonlydir')
    const manifest = await readFile(join(folder, 'appendonly.aof.manifest'), 'utf8')
    const last = Number(/appendonly\.aof\.(\d+)\.base/.exec(manifest)?.[1] ?? 0)
    const inTheWay = join(folder, `appendonly.aof.${last + 1}.base.rdb`)
    await mkdir(join(inTheWay, 'full'), { recursive: true })
    await link(0).text('BGREWRITEAOF')
    expect(findingOf(await found('aof-failing'), 'aof-failing').nodes).toEqual([name(0)])
    await rm(inTheWay, { recursive: true })
    await link(0).text('BGREWRITEAOF')
  })

  it('users-differ: a user of one node alone', async () => {
    await link(2).text('ACL', 'SETUSER', 'somebody', 'on', '>hidden', '+ping')
    const report = await check()
    expect(namesOf(report)).toEqual(['users-differ'])
    expect(JSON.stringify(report)).not.toContain('hidden')
    expect(report.findings).toHaveLength(5)
    await link(2).text('ACL', 'DELUSER', 'somebody')
  })

  it('clients-high and clients-full', async () => {
    const [most] = ((await link(0).reply('CONFIG', 'GET', 'maxclients')) as string[]).slice(1)
    const crowd = await Promise.all(
      Array.from({ length: 40 }, () =>
        NodeLink.open(cluster.seeds[0] ?? { host: '', port: 0 }, cluster.access),
      ),
    )
    const info = await link(0).text('INFO')
    const now = [/connected_clients:(\d+)/, /connected_slaves:(\d+)/, /cluster_connections:(\d+)/]
      .map((count) => Number(count.exec(info)?.[1]))
      .reduce((sum, count) => sum + count)
    await setting(0, 'maxclients', now + 4)
    expect(findingOf(await check(), 'clients-high')).toMatchObject({ severity: 'warning', nodes: [name(0)] })
    for (const each of crowd) each.close()
    await setting(0, 'maxclients', 1)
    expect(findingOf(await found('clients-full'), 'clients-full').nodes).toEqual([name(0)])
    await setting(0, 'maxclients', most ?? '')
  })

  it('bus-port: a node that is well, and that the others cannot reach', async () => {
    await setting(1, 'cluster-announce-bus-port', 1)
    const report = await found('bus-port')
    expect(findingOf(report, 'bus-port')).toMatchObject({
      nodes: [name(1)],
      seen: expect.stringContaining('cannot reach its bus port 1; from here it refuses connections'),
    })
    await setting(1, 'cluster-announce-bus-port', 0)
  })

  it('announce-address: from the one address that answers, although all others follow a wrong one', async () => {
    await setting(4, 'cluster-announce-ip', '198.51.100.1')
    const look = () =>
      checkCluster(cluster.seeds.slice(4, 5), { ...cluster.access, ...QUICK, timeoutMs: 300 })
    const report = await until('announce-address', look, (seen) => namesOf(seen).includes('announce-address'))
    expect(findingOf(report, 'announce-address')).toMatchObject({
      nodes: [name(4)],
      seen: expect.stringContaining(`announced as 198.51.100.1:${port(4)}`),
    })
    await setting(4, 'cluster-announce-ip', '')
  })

  it('duplicate-node-id: a server that was started on a copy of nodes.conf', async () => {
    const dir = await mkdtemp(join(tmpdir(), 'shardq-clone-'))
    onTestFinished(() => rm(dir, { recursive: true, force: true }))
    await cp(join(cluster.nodes[5]?.dir ?? '', 'nodes.conf'), join(dir, 'nodes.conf'))
    const [clonePort = 0] = await freePorts(1)
    const clone = await startServer(dir, {
      port: clonePort,
      ...{ requirepass: PASSWORD, masterauth: PASSWORD, 'cluster-node-timeout': 1000, maxmemory: '256mb' },
    })
    try {
      // Named as well, since it is a matter of chance which of the two the others list.
      const seeds = [...cluster.seeds, { host: '127.0.0.1', port: clonePort }]
      const look = () => checkCluster(seeds, { ...cluster.access, ...QUICK })
      const isTold = (seen: CheckReport) => namesOf(seen).includes('duplicate-node-id')
      const report = await until('duplicate-node-id', look, isTold)
      expect(findingOf(report, 'duplicate-node-id')).toMatchObject({
        nodes: [name(5), `127.0.0.1:${clonePort}`],
        mend: [`redis-cli -h 127.0.0.1 -p ${clonePort} SHUTDOWN NOSAVE`],
      })
    } finally {
      clone.kill('SIGKILL')
      await once(clone, 'exit')
    }
  })

  it('node-frozen: a replica that takes connections and answers nothing', async () => {
    await cluster.freezeNode(port(4))
    try {
      const report = await found('node-frozen', 'node-failed')
      expect(findingOf(report, 'node-frozen').nodes).toEqual([name(4)])
    } finally {
      await cluster.resumeNode(port(4))
    }
  })

  it('nothing-listens, node-failed and master-without-replica: a replica that was killed', async () => {
    await cluster.killNode(port(5))
    const report = await found('nothing-listens', 'node-failed', 'master-without-replica')
    expect(findingOf(report, 'nothing-listens').nodes).toEqual([name(5)])
    expect(report.findings[0]?.severity).toBe('error')
    const local = await diagnose({ dataDir: cluster.dataDir, ...QUICK })
    expect(findingOf(local, 'nothing-listens').mend).toEqual([
      `shardq cluster up --data-dir ${shellWord(cluster.dataDir)}`,
    ])
    await cluster.restartNode(port(5))
    await relink(5)
  })

  it('cluster-down: two masters of three are gone, and nothing can be decided', async () => {
    await Promise.all([cluster.killNode(port(0)), cluster.killNode(port(1))])
    const report = await found('cluster-down')
    expect(findingOf(report, 'cluster-down')).toMatchObject({
      severity: 'error',
      seen: expect.stringContaining('most masters are gone'),
    })
    const explained = await diagnose({
      dataDir: cluster.dataDir,
      error: '(error) CLUSTERDOWN The cluster is down',
      ...QUICK,
    })
    expect(explained.explanations).toMatchObject([
      { symptom: 'clusterdown', guide: 'Issue 1: "Cluster is DOWN"' },
    ])
    expect(explained.explanations[0]?.checks).toContain('cluster-down')
    for (const index of [0, 1]) {
      await cluster.restartNode(port(index))
      await relink(index)
    }
  }, 40_000)

  it('password-missing, password-wrong and rights-missing', async () => {
    const as = (access: { username?: string; password?: string }) =>
      checkCluster(cluster.seeds, { ...access, ...QUICK }).then(namesOf)
    expect(await as({})).toEqual(['password-missing'])
    expect(await as({ password: 'wrong' })).toEqual(['password-wrong'])
    await Promise.all(links.map((each) => each.text('ACL', 'SETUSER', 'weak', 'on', '>weak', '+ping')))
    expect(await as({ username: 'weak', password: 'weak' })).toEqual(['rights-missing'])
    await Promise.all(links.map((each) => each.text('ACL', 'DELUSER', 'weak')))
  })

  it('needs the right to look and no other, and uses no other', async () => {
    const rights = [
      ...['+info', '+cluster|info', '+cluster|nodes', '+cluster|countkeysinslot', '+config|get', '+time'],
      ...['+acl|list', '+function|list', '+ping', '+hmget', '%R~shardq:restore'],
    ]
    await Promise.all(links.map((each) => each.text('ACL', 'SETUSER', 'watcher', 'on', '>watch', ...rights)))
    await link(2).text('SET', 'foo', 'so that there is something to look at')
    const state = () =>
      Promise.all(
        links.map(async (each) => [
          ...(await Promise.all([each.text('DBSIZE'), each.text('CONFIG', 'GET', '*')])),
          /cluster_current_epoch:\d+/.exec(await each.text('CLUSTER', 'INFO'))?.[0],
        ]),
      )
    const before = await state()
    await Promise.all(links.map((each) => each.text('ACL', 'LOG', 'RESET')))
    await Promise.all(links.map((each) => each.text('CONFIG', 'RESETSTAT')))

    const access = { username: 'watcher', password: 'watch' }
    expect((await checkCluster(cluster.seeds, { ...access, ...QUICK })).findings).toEqual([])
    const env = { SHARDQ_REDIS_USERNAME: access.username, SHARDQ_REDIS_PASSWORD: access.password }
    const [node = { host: '', port: 0 }] = cluster.seeds
    expect((await diagnose({ node, env, error: 'OOM', ...QUICK })).findings).toEqual([])

    const called = new Set<string>()
    for (const each of links) {
      expect(await each.reply('ACL', 'LOG')).toEqual([])
      const stats = await each.text('INFO', 'commandstats')
      for (const [, command] of stats.matchAll(/^cmdstat_(\S+?):/gm)) called.add(command ?? '')
    }
    // The test's own, and what replication says to itself.
    for (const other of ['acl|log', 'config|resetstat', 'replconf', 'ping']) called.delete(other)
    expect([...called].sort()).toEqual([
      ...['acl|list', 'auth', 'cluster|countkeysinslot', 'cluster|info', 'cluster|nodes', 'config|get'],
      ...['function|list', 'hmget', 'info', 'time'],
    ])
    expect(await state()).toEqual(before)
    await link(2).text('DEL', 'foo')
    await Promise.all(links.map((each) => each.text('ACL', 'DELUSER', 'watcher')))
  })

  it('on the command line: exit codes, a table, one document', async () => {
    const args = ['cluster', 'check', '--data-dir', cluster.dataDir]
    const well = await shardq([...args, '--strict'])
    expect(well).toMatchObject({ code: 0, stderr: '' })
    expect(well.stdout).toContain('looked at on 6 of 6 nodes')
    expect(well.stdout).toContain('Nothing is wrong.')

    await setting(3, 'maxmemory-policy', 'allkeys-lru')
    expect(await shardq(args)).toMatchObject({ code: 0 })
    const strict = await shardq([...args, '--strict'])
    expect(strict.code).toBe(1)
    expect(strict.stdout).toMatch(/! warning │ eviction-policy/)
    expect(strict.stdout).toContain('CONFIG SET maxmemory-policy noeviction')
    await setting(3, 'maxmemory-policy', 'noeviction')

    await setting(3, 'masterauth', '')
    const json = await shardq([...args, '--json'])
    expect(json).toMatchObject({ code: 1, stderr: '' })
    expect(JSON.parse(json.stdout)).toMatchObject({
      ok: false,
      findings: [{ check: 'masterauth-missing', severity: 'error', nodes: [name(3)] }],
    })
    const doctor = await shardq(['doctor', '--data-dir', cluster.dataDir, 'NOAUTH Authentication required.'])
    expect(doctor.code).toBe(1)
    expect(doctor.stdout).toContain('What is probably behind it:')
    expect(doctor.stdout).not.toContain(PASSWORD)
    await setting(3, 'masterauth', PASSWORD)
    expect((await shardq(['doctor', '--data-dir', cluster.dataDir])).stdout).toContain('Nothing is wrong.')
  })
})

/** A server by itself, that nobody has made a cluster of. The caller ends it. */
async function startServer(dir: string, settings: Record<string, string | number>): Promise<ChildProcess> {
  const { path } = await findServer()
  const all = {
    dir,
    bind: '127.0.0.1',
    'cluster-enabled': 'yes',
    'cluster-config-file': 'nodes.conf',
    ...settings,
  }
  const args = Object.entries(all).flatMap(([name, value]) => [`--${name}`, ...String(value).split(' ')])
  const child = spawn(path, args, { stdio: 'ignore' })
  await once(child, 'spawn')
  return child
}

it('too-few-masters and unprotected: one server has all slots, and is open to whoever reaches it', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'shardq-alone-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  const [port = 0] = await freePorts(1)
  const seed = { host: '127.0.0.1', port }
  // An address for documentation: that it is not there is no fault (the minus), so the server listens on loopback alone.
  const server = await startServer(dir, { port, bind: '127.0.0.1 -192.0.2.1', 'protected-mode': 'no' })
  try {
    const look = () => checkCluster([seed], QUICK)
    await until('it answers', look, ({ nodes }) => nodes.some(({ answers }) => answers))
    const link = await NodeLink.open(seed)
    await link.text('CLUSTER', 'ADDSLOTSRANGE', 0, 16_383)
    link.close()
    const told = (seen: CheckReport) => namesOf(seen).includes('too-few-masters')
    const { findings } = await until('too-few-masters', look, told)
    const seen = (name: string) => findings.find(({ check }) => check === name)?.seen
    expect(seen('too-few-masters')).toBe('1 master with slots')
    expect(seen('unprotected')).toContain('protected-mode no, no requirepass, bind "127.0.0.1 -192.0.2.1"')
  } finally {
    server.kill('SIGKILL')
    await once(server, 'exit')
  }
})

it('profile guide: warnings for eviction and full coverage, and no error', async () => {
  const { seeds } = await ownCluster({ profile: 'guide' })
  const report = await checkCluster(seeds, QUICK)
  expect(report.ok).toBe(true)
  expect(report.findings.map(({ check, severity }) => [check, severity])).toEqual([
    ['full-coverage', 'warning'],
    ['eviction-policy', 'warning'],
  ])
  expect(report.findings.map(({ nodes }) => nodes.length)).toEqual([6, 6])
})
