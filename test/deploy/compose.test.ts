import { execFile } from 'node:child_process'
import { access, readFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, onTestFinished, test } from 'vitest'
import { parse } from 'yaml'
import { ensureServer, freePorts, inspect } from '../../src/cluster/index.js'
import { clusterNodeConfig } from '../../src/cluster/node-config.js'
import { loadConfig } from '../../src/index.js'
import { eventually } from '../helpers/behaviour/harness.js'
import { tempDir } from '../helpers/temp-dir.js'
import { type Program, startServer } from './program.js'
import { DEPLOY } from './tools.js'

interface Service {
  readonly image: string
  readonly command?: readonly string[]
  readonly build?: { readonly context: string; readonly dockerfile: string }
  readonly volumes?: readonly string[]
  readonly ports?: readonly string[]
  readonly depends_on?: Readonly<Record<string, unknown>>
  readonly networks: Readonly<Record<string, { readonly ipv4_address?: string }>> | readonly string[]
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>
  readonly volumes: Readonly<Record<string, unknown>>
}

const text = (path: string) => readFile(join(DEPLOY, path), 'utf8')
const compose = parse(await text('compose.yaml'), { merge: true }) as Compose
const services = Object.entries(compose.services)
const service = (name: string): Service => {
  const found = compose.services[name]
  if (!found) throw new Error(`compose.yaml has no service ${name}`)
  return found
}

const addresses = services.flatMap(([, { networks }]) =>
  Object.values(networks).flatMap((network) =>
    typeof network === 'object' && network.ipv4_address ? [`${network.ipv4_address}:6379`] : [],
  ),
)

/** What is mounted where, of a service. */
const mounts = (name: string) =>
  new Map(
    (service(name).volumes ?? []).map((line) => line.split(':').slice(0, 2).reverse() as [string, string]),
  )

describe('compose.yaml', () => {
  test('mounts what is there, and volumes that it names', async () => {
    for (const [name] of services)
      for (const source of mounts(name).values()) {
        if (source.startsWith('.')) await access(join(DEPLOY, source))
        else expect(Object.keys(compose.volumes), name).toContain(source)
      }
  })

  test('takes one version of each image, and publishes to this machine only', () => {
    const versions = new Map<string, string>()
    for (const [name, { image, build, ports = [] }] of services) {
      const [repository = '', version = build ? 'built here' : ''] = image.split(':')
      expect(version, name).toMatch(/^v?\d+\.|built here/)
      expect(versions.get(repository) ?? version).toBe(version)
      versions.set(repository, version)
      for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:(\d+):\1$/)
    }
  })

  test('waits for services that there are', () => {
    for (const [, { depends_on = {} }] of services)
      for (const name of Object.keys(depends_on)) expect(compose.services).toHaveProperty(name)
  })

  test('says the same of the nodes wherever it names them', async () => {
    expect(addresses).toHaveLength(6)
    expect(service('create-cluster').command?.slice(2)).toEqual(addresses)
    const { redis } = await loadConfig(join(DEPLOY, 'shardq.yaml'), {})
    if (redis.mode !== 'cluster') throw new Error('not a cluster')
    expect(redis.nodes.map(({ host, port }) => `${host}:${port}`)).toEqual(addresses)
    expect(Object.keys(service('create-cluster').depends_on ?? {})).toHaveLength(6)
  })

  test('every address in the other files is that of a service', async () => {
    const named = [...(await text('prometheus/prometheus.yml')).matchAll(/\[([\w-]+):(\d+)\]/g)]
    const source = /http:\/\/([\w-]+):(\d+)/.exec(
      await text('grafana/provisioning/datasources/prometheus.yaml'),
    )
    const all = [...named, source].map((match) => match?.slice(1, 3))
    expect(all).toEqual([
      ['alertmanager', '9093'],
      ['shardq-metrics', '9121'],
      ['prometheus', '9090'],
    ])
    for (const [name = '', port] of all as string[][])
      expect(service(name).ports).toEqual([`127.0.0.1:${port}:${port}`])
  })

  test('puts files where the programs look for them', async () => {
    const provider = parse(await text('grafana/provisioning/dashboards/shardq.yaml')) as {
      providers: { options: { path: string } }[]
    }
    expect(mounts('grafana').get(provider.providers[0]?.options.path ?? '')).toBe('./grafana/dashboards')
    expect(mounts('grafana').get('/etc/grafana/provisioning')).toBe('./grafana/provisioning')
    expect(mounts('prometheus').get('/etc/prometheus')).toBe('./prometheus')
    expect(mounts('alertmanager').get('/etc/alertmanager')).toBe('./alertmanager')
    expect(mounts('node-1').get(service('node-1').command?.[1] ?? '')).toBe('./redis/node.conf')
    expect(mounts('create-cluster').get(service('create-cluster').command?.[1] ?? '')).toBe(
      './redis/create-cluster.sh',
    )
    const { command = [] } = service('shardq-metrics')
    expect(mounts('shardq-metrics').get(command[command.indexOf('--config') + 1] ?? '')).toBe('./shardq.yaml')
  })
})

test('the nodes are set up as `shardq cluster up` does it', async () => {
  const lines = new Set((await text('redis/node.conf')).split('\n'))
  const theirs = clusterNodeConfig({ port: 6379, dir: '/data', profile: 'queue' }).trim().split('\n')
  // Where they live, and whom they listen to, is another matter in a container.
  const place = /^(bind|protected-mode|dir|logfile|pidfile|daemonize|loglevel) /
  const settings = theirs.filter((line) => !place.test(line))
  expect(settings.length).toBeGreaterThan(8)
  for (const line of settings) expect(lines).toContain(line)
})

test('the image has what the command needs', async () => {
  const { build } = service('shardq-metrics')
  const root = join(DEPLOY, build?.context ?? '')
  const file = join(root, build?.dockerfile ?? '')
  const copied = [...(await readFile(file, 'utf8')).matchAll(/^COPY (.+) \S+$/gm)].flatMap(([, from = '']) =>
    from.split(' ').map((path) => path.replace('*', '')),
  )
  expect(copied).toEqual(['package.json', 'package-lock.json', 'dist'])
  // All else is kept out of the context.
  const kept = [...(await readFile(`${file}.dockerignore`, 'utf8')).matchAll(/^!(.+)$/gm)].map(
    ([, path]) => path,
  )
  expect(kept).toEqual(copied)
  const entry = /^ENTRYPOINT (.+)$/m.exec(await readFile(file, 'utf8'))?.[1] ?? '[]'
  const [, main = ''] = JSON.parse(entry) as string[]
  await access(join(root, main.replace('/app/', '')))
})

/** There is no Docker here: the same server settings and the same script, on six servers of this machine. */
test('node.conf and create-cluster.sh make a cluster, once', async () => {
  const server = await ensureServer()
  const cli = join(dirname(server.path), basename(server.path).replace('server', 'cli'))
  const ports = await freePorts(6)
  const started: Program[] = []
  onTestFinished(async () => {
    await Promise.all(started.map((program) => program.stop()))
  })
  const config = join(DEPLOY, mounts('node-1').get('/etc/redis/node.conf') ?? '')
  for (const port of ports) {
    const own = ['--port', `${port}`, '--bind', '127.0.0.1', '--dir', await tempDir()]
    started.push(await startServer(server.path, [config, ...own], { host: '127.0.0.1', port }))
  }
  const script = join(DEPLOY, mounts('create-cluster').get('/create-cluster.sh') ?? '')
  const create = () =>
    promisify(execFile)('sh', [script, ...ports.map((port) => `127.0.0.1:${port}`)], {
      env: { ...process.env, REDIS_CLI: cli },
      timeout: 90_000,
    })

  expect((await create()).stdout).toContain('All nodes agree about slots configuration')
  const [seed = 0] = ports
  await eventually(async () => {
    const { state, nodes } = await inspect({ host: '127.0.0.1', port: seed })
    expect(state).toBe('ok')
    expect(nodes.map(({ role }) => role).sort()).toEqual([
      ...Array(3).fill('master'),
      ...Array(3).fill('replica'),
    ])
  }, 30_000)
  expect((await create()).stdout.trim()).toBe('cluster of 6 nodes: ok')
}, 150_000)
