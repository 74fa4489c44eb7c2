import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer as createHttpServer } from 'node:http'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { describe, expect, inject, it, onTestFinished } from 'vitest'
import { checkCluster, diagnose, freePorts, Observer } from '../../src/cluster.js'
import { shardq } from '../helpers/cli.js'
import { tempDir } from '../helpers/temp-dir.js'
import { until } from '../helpers/until.js'
import { FakeCluster, type FakeNode, type Received } from './fake-cluster.js'

const HOST = '127.0.0.1'
const QUICK = { settleMs: 10, timeoutMs: 300 }

const namesAt = async (port: number) =>
  (await checkCluster([{ host: HOST, port }], QUICK)).findings.map(({ check }) => check)

async function listening(server: Server): Promise<number> {
  server.listen(0, HOST)
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}

/** A server that does this with whoever connects. */
const whoDoes = (greet: (socket: Socket) => void) =>
  listening(
    createServer((socket) => {
      socket.on('error', () => socket.destroy())
      onTestFinished(() => void socket.destroy())
      greet(socket)
    }),
  )

const PROTECTED =
  '-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user.\r\n'

describe('what stands behind an address', () => {
  it('nothing', async () => {
    const [port = 0] = await freePorts(1)
    expect(await namesAt(port)).toEqual(['nothing-listens'])
  })

  it('a web server', async () => {
    expect(await namesAt(await listening(createHttpServer()))).toEqual(['not-redis'])
  })

  it('something that speaks first', async () => {
    expect(await namesAt(await whoDoes((socket) => void socket.write('SSH-2.0-OpenSSH_9.2\r\n')))).toEqual([
      'not-redis',
    ])
  })

  it('silence', async () => {
    expect(await namesAt(await whoDoes(() => {}))).toEqual(['node-frozen'])
  })

  it('somebody who hangs up', async () => {
    expect(await namesAt(await whoDoes((socket) => void socket.end()))).toEqual(['hangs-up'])
  })

  it('protected mode', async () => {
    expect(await namesAt(await whoDoes((socket) => void socket.end(PROTECTED)))).toEqual(['protected-mode'])
  })

  it('a node that is loading', async () => {
    const loading = (socket: Socket) =>
      socket.on('data', () => socket.write('-LOADING Redis is loading the dataset in memory\r\n'))
    expect(await namesAt(await whoDoes(loading))).toEqual(['node-loading'])
  })

  it('a name that nobody knows', async () => {
    const report = await checkCluster([{ host: 'no-such-host.invalid', port: 7000 }], QUICK)
    expect(report.findings.map(({ check }) => check)).toEqual(['host-unknown'])
    expect(report.nodes).toMatchObject([{ answers: false }])
    expect(report.checks.length).toBeLessThan(20)
  })
})

describe('servers that say things of themselves', () => {
  async function fakes(
    answer: (received: Received, node: FakeNode) => string | readonly string[] | undefined,
  ) {
    const cluster = await FakeCluster.start()
    onTestFinished(() => cluster.stop())
    for (const node of cluster.nodes) node.script = (received) => answer(received, node) ?? defaults(received)
    const report = await checkCluster(cluster.seeds, QUICK)
    return report.findings.filter(({ check }) => check !== 'too-few-masters')
  }
  const now = () => [String(Math.floor(Date.now() / 1000)), '0']
  const defaults = ({ words: [command, what] }: Received) => {
    if (command === 'TIME') return now()
    if (command === 'ACL') return ['user default on nopass ~* &* +@all']
    if (command === 'CONFIG') return ['save', '900 1']
    if (command === 'CLUSTER' && what === 'INFO') return 'cluster_state:ok\r\n'
    return command === 'INFO' ? info() : undefined
  }
  const info = (version = '7.0.15') =>
    `redis_version:${version}\r\ncluster_enabled:1\r\nrole:master\r\nconnected_slaves:1\r\nmaxmemory:1000\r\nused_memory:1\r\n`

  it('all is well', async () => {
    expect(await fakes(() => undefined)).toEqual([])
  })

  it('a server that is too old', async () => {
    const found = await fakes(({ words }) => (words[0] === 'INFO' ? info('6.2.14') : undefined))
    expect(new Set(found.map(({ check }) => check))).toEqual(new Set(['old-server']))
    expect(found[0]?.seen).toContain('Redis 6.2.14')
  })

  it('clocks that differ', async () => {
    const late = String(Math.floor(Date.now() / 1000) - 3_600)
    const found = await fakes(({ words }, { id }) =>
      words[0] === 'TIME' && id.startsWith('b') ? [late, '0'] : undefined,
    )
    expect(found).toMatchObject([
      { check: 'clock-differs', seen: expect.stringMatching(/360\d\.\d s behind/) },
    ])
  })
})

it('a seed that is named twice has one link, and that is closed', async () => {
  const cluster = await FakeCluster.start()
  onTestFinished(() => cluster.stop())
  const [seed = { host: '', port: 0 }] = cluster.seeds
  const observer = new Observer([seed, { ...seed }])
  await observer.observe()
  expect(cluster.a.connections).toBe(1)
  observer.close()
  await until(
    'no link is left',
    async () => cluster.a.connections,
    (open) => open === 0,
  )
})

describe('the doctor', () => {
  const single = new URL(inject('single').url)

  it('a single server where a cluster is configured, and the other way round', async () => {
    const node = { host: single.hostname, port: Number(single.port) }
    const nodes = `${node.host}:${node.port}`
    const asCluster = await diagnose({ ...QUICK, env: { SHARDQ_REDIS_NODES: nodes }, config: await file('') })
    expect(asCluster.findings).toMatchObject([
      { check: 'wrong-mode', mend: [`export SHARDQ_REDIS_URL=redis://${nodes}`] },
    ])
    expect(asCluster.steps).toContainEqual({ step: 'mode', ok: false, seen: 'one server answers' })
    const [member] = inject('cluster').nodes
    const url = `redis://${member?.host}:${member?.port}`
    const asSingle = await diagnose({
      ...QUICK,
      env: { SHARDQ_REDIS_URL: url },
      config: await file(''),
      error: 'MOVED',
    })
    expect(asSingle.findings.map(({ check }) => check)).toContain('wrong-mode')
    expect(asSingle.explanations[0]?.checks).toContain('wrong-mode')
    const asItIs = await diagnose({
      ...QUICK,
      env: { SHARDQ_REDIS_URL: inject('single').url },
      config: await file(''),
    })
    expect(asItIs.findings).toEqual([])
  })

  it('a configuration that is wrong, each fault by its place', async () => {
    const config = await file('redis:\n  mode: cluster\n  nodes:\n    - host: 127.0.0.1\n      port: 70000\n')
    const report = await diagnose({ ...QUICK, config, env: {} })
    expect(report.steps[0]).toMatchObject({ step: 'configuration', ok: false })
    expect(report.findings).toMatchObject([
      { check: 'config-invalid', seen: expect.stringContaining('redis.nodes[0].port') },
    ])
    const missing = await diagnose({ ...QUICK, config: join(await tempDir(), 'none.yaml'), env: {} })
    expect(missing.findings).toMatchObject([{ check: 'config-invalid', seen: 'file: no such file' }])
  })

  it('on the command line: with nothing there, with an error that is known and one that is not, and wrong usage', async () => {
    const cwd = await tempDir()
    const [port = 0] = await freePorts(1)
    const args = ['doctor', '--node', `${HOST}:${port}`]
    const refused = await shardq([...args, 'Could not connect to Redis: Connection refused'], { cwd })
    expect(refused).toMatchObject({ code: 1, stderr: '' })
    expect(refused.stdout).toContain('Issue 2: "No connection could be made"')
    expect(refused.stdout).toContain('What is probably behind it:')
    expect(refused.stdout).toContain('no node to look at')
    const json = await shardq([...args, '--error', 'something else', '--json'], { cwd })
    expect(json).toMatchObject({ code: 1, stderr: '' })
    expect(JSON.parse(json.stdout)).toMatchObject({
      ok: false,
      explanations: [],
      findings: [{ check: 'nothing-listens' }],
    })
    expect(await shardq(['doctor', '--node', 'nowhere'], { cwd })).toMatchObject({ code: 2, stdout: '' })
    expect(await shardq(['cluster', 'check', '--data-dir', cwd], { cwd })).toMatchObject({
      code: 2,
      stdout: '',
    })
  })

  async function file(text: string): Promise<string> {
    const path = join(await tempDir(), 'redis.yaml')
    await writeFile(path, text)
    return path
  }
})
