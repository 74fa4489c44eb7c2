import { once } from 'node:events'
import { access, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { Cluster } from 'ioredis'
import { expect, onTestFinished, test } from 'vitest'
import {
  DataDirError,
  freePorts,
  type LocalCluster,
  PortInUseError,
  startCluster,
  stopCluster,
} from '../../src/cluster/index.js'
import { isListening } from '../../src/cluster/ports.js'
import { InvalidOptionError } from '../../src/errors.js'
import { ownCluster } from '../helpers/own-cluster.js'
import { tempDir } from '../helpers/temp-dir.js'

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  )

/** Runs `use` with an ordinary cluster client. */
async function withClient<T>(cluster: LocalCluster, use: (client: Cluster) => Promise<T>): Promise<T> {
  const client = new Cluster(cluster.seeds.map(({ host, port }) => ({ host, port })))
  try {
    return await use(client)
  } finally {
    client.disconnect()
  }
}

test('up is ready at once; up again changes nothing; up after stop brings the data back', async () => {
  const cluster = await ownCluster()
  const { dataDir } = cluster
  expect(cluster.outcome).toBe('created')
  expect(cluster.nodes.map(({ role }) => role)).toEqual([
    ...['master', 'master', 'master'],
    ...['replica', 'replica', 'replica'],
  ])
  const keys = Array.from({ length: 300 }, (_, index) => `key:${index}`)
  // No retry, no wait: a client's first commands succeed, on every shard.
  await withClient(cluster, (client) => Promise.all(keys.map((key) => client.set(key, key))))

  const again = await startCluster({ dataDir })
  expect(again.outcome).toBe('running')
  expect(again.nodes).toEqual(cluster.nodes)

  const report = await cluster.stop()
  expect(report.nodes.map(({ pid }) => pid)).toEqual(
    [...cluster.nodes].sort((a, b) => a.port - b.port).map(({ pid }) => pid),
  )
  for (const { port } of cluster.nodes) expect(await isListening(port)).toBe(false)

  const back = await startCluster({ dataDir })
  expect(back.outcome).toBe('restarted')
  const values = await withClient(back, (client) => Promise.all(keys.map((key) => client.get(key))))
  expect(values).toEqual(keys)
})

test('the node-timeout that was lowered while forming is back, and never reaches redis.conf', async () => {
  const cluster = await ownCluster({ settings: { 'cluster-node-timeout': '7000' } })
  const client = new Cluster(cluster.seeds.map(({ host, port }) => ({ host, port })))
  onTestFinished(() => client.disconnect())
  await client.ping()
  for (const node of client.nodes('all')) {
    expect(await node.config('GET', 'cluster-node-timeout')).toEqual(['cluster-node-timeout', '7000'])
  }
  for (const { dir } of cluster.nodes) {
    expect(await readFile(join(dir, 'redis.conf'), 'utf8')).toContain('cluster-node-timeout 7000\n')
  }
})

test('up starts what has crashed and leaves the others alone', async () => {
  const cluster = await ownCluster()
  const victim = cluster.nodes[1]?.port ?? 0
  await cluster.killNode(victim)
  const again = await startCluster({ dataDir: cluster.dataDir })
  expect(again.outcome).toBe('restarted')
  for (const before of cluster.nodes) {
    const after = again.nodes.find(({ port }) => port === before.port)
    if (before.port === victim) expect(after?.pid).not.toBe(before.pid)
    else expect(after?.pid).toBe(before.pid)
  }
})

test('clean starts anew: other processes, no data', async () => {
  const cluster = await ownCluster()
  await withClient(cluster, (client) => client.set('old', '1'))
  const ports = cluster.nodes.map(({ port }) => port)
  const anew = await startCluster({ dataDir: cluster.dataDir, ports, clean: true })
  expect(anew.outcome).toBe('created')
  expect(await withClient(anew, (client) => client.get('old'))).toBeNull()
})

test.each([
  ['data', 0],
  ['bus', 10_000],
] as const)('a %s port that is taken: the error names it, and nothing was started', async (use, offset) => {
  const dir = await tempDir()
  const ports = await freePorts(6)
  const taken = (ports[4] ?? 0) + offset
  const blocker = createServer().listen(taken, '127.0.0.1')
  await once(blocker, 'listening')
  onTestFinished(() => void blocker.close())

  const up = startCluster({ ports, dataDir: join(dir, 'cluster') })
  await expect(up).rejects.toThrow(PortInUseError)
  await expect(up).rejects.toMatchObject({ port: taken, use })
  expect(await readdir(dir)).toEqual([])
})

test('the holder of a port is named when it is a Redis', async () => {
  const cluster = await ownCluster()
  const [first] = cluster.nodes
  const dir = await tempDir()
  const up = startCluster({ basePort: first?.port ?? 0, dataDir: join(dir, 'cluster') })
  await expect(up).rejects.toThrow(`pid ${first?.pid}, ${first?.dir}`)
})

test('another shape in the same folder is refused, and the cluster is left as it is', async () => {
  const cluster = await ownCluster()
  const { dataDir } = cluster
  await expect(startCluster({ dataDir, masters: 4 })).rejects.toThrow(DataDirError)
  await expect(startCluster({ dataDir, profile: 'guide' })).rejects.toThrow('--profile queue, not guide')
  expect((await cluster.status()).state).toBe('ok')
})

test('fewer than 3 masters, and ports whose bus port would not exist, are refused', async () => {
  const dataDir = join(await tempDir(), 'cluster')
  for (const options of [{ masters: 2 }, { masters: 1 }, { basePort: 55_533 }, { replicasPerMaster: -1 }]) {
    await expect(startCluster({ dataDir, ...options })).rejects.toThrow(InvalidOptionError)
  }
  expect(await exists(dataDir)).toBe(false)
})

test('a faulty setting: the error carries what the server said, and nothing is left', async () => {
  const dir = await tempDir()
  const settings = { 'maxmemory-policy': 'no-such-policy' }
  const up = startCluster({ ports: await freePorts(6), dataDir: join(dir, 'cluster'), settings })
  await expect(up).rejects.toThrow('maxmemory-policy')
  expect(await readdir(dir)).toEqual([])
})

test('a folder of the same name that is not ours is never touched', async () => {
  const dataDir = await tempDir()
  const ports = await freePorts(6)
  const precious = join(dataDir, `node_${ports[2]}`, 'precious')
  await mkdir(join(precious, '..'))
  await writeFile(precious, 'kept')
  await expect(startCluster({ ports, dataDir })).rejects.toThrow(DataDirError)
  expect(await readdir(dataDir)).toEqual([`node_${ports[2]}`])
  expect(await readFile(precious, 'utf8')).toBe('kept')
})

test('stop where there is nothing says so and does nothing', async () => {
  const dataDir = await tempDir()
  expect(await stopCluster({ dataDir })).toEqual({ dataDir, found: false, removed: false, nodes: [] })
})

test('4 masters with 2 replicas each', async () => {
  const cluster = await ownCluster({ masters: 4, replicasPerMaster: 2 })
  const status = await cluster.status()
  expect(status).toMatchObject({ state: 'ok', size: 4, knownNodes: 12 })
  const followed = status.nodes.filter(({ role }) => role === 'replica').map(({ masterId }) => masterId)
  for (const { id, role } of status.nodes) {
    if (role === 'master') expect(followed.filter((masterId) => masterId === id)).toHaveLength(2)
  }
})
