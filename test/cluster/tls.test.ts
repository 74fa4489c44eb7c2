import { mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { NodeLink, withLink } from '../../src/cluster/link.js'
import {
  checkCluster,
  freePorts,
  inspectAny,
  type LocalCluster,
  makeCertificates,
} from '../../src/cluster.js'
import { TaskQueue, Worker } from '../../src/index.js'
import { type CliResult, shardq } from '../helpers/cli.js'
import { openCluster } from '../helpers/own-cluster.js'
import { until } from '../helpers/until.js'

const PASSWORD = 'the-secret-of-this-test'

let folder: string
let cluster: LocalCluster
let dispose: () => Promise<void>
/** All that any command has said. */
const said: string[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shardq-tls-'))
  const { dir } = await makeCertificates({ to: join(folder, 'tls'), days: 10 })
  ;({ cluster, dispose } = await openCluster({ password: PASSWORD, tls: { dir } }))
})

afterAll(async () => {
  await dispose?.()
  await rm(folder, { recursive: true, force: true })
})

/** A command that is told where the data is, and nothing else: who asks may have another password in the environment. */
async function command(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<CliResult> {
  const result = await shardq([...args, '--data-dir', cluster.dataDir], { cwd: folder, env })
  said.push(result.stdout, result.stderr)
  return result
}

const check = () => checkCluster(cluster.seeds, { ...cluster.access, settleMs: 50 })

const settings = async (port: number, ...pairs: string[]) =>
  withLink({ host: '127.0.0.1', port }, cluster.access, (link) => link.text('CONFIG', 'SET', ...pairs))

it('every command finds password and certificates by the data folder alone', async () => {
  const other = { SHARDQ_REDIS_PASSWORD: 'of-another-cluster' }
  const [status, checked, fix, doctor, queues, up] = await Promise.all([
    command(['cluster', 'status', '--json'], other),
    command(['cluster', 'check', '--json']),
    command(['cluster', 'fix', '--dry-run']),
    command(['doctor', '--json'], other),
    command(['queue', 'list', '--json']),
    command(['cluster', 'up', '--json'], other),
  ])
  for (const { code, stderr } of [status, checked, fix, doctor, queues, up]) {
    expect(stderr).toBe('')
    expect(code).toBe(0)
  }
  expect(JSON.parse(status.stdout)).toMatchObject({ state: 'ok', answered: 6, differences: [] })
  expect(JSON.parse(up.stdout)).toMatchObject({
    outcome: 'running',
    passwordFile: join(cluster.dataDir, 'password'),
    tlsDir: join(folder, 'tls'),
  })
  // The certificates of this test hold for 10 days, and that is all that is found.
  for (const { stdout } of [checked, doctor]) {
    const { findings } = JSON.parse(stdout) as { findings: { check: string }[] }
    expect(findings.map((finding) => finding.check)).toEqual(Array(6).fill('certificate-ends'))
  }
})

it('certificates are renewed while it runs', async () => {
  const { dir } = await makeCertificates({ to: join(folder, 'renewed'), ca: join(folder, 'tls') })
  const files = ['tls-cert-file', join(dir, 'node.crt'), 'tls-key-file', join(dir, 'node.key')]
  await Promise.all(cluster.seeds.map(({ port }) => settings(port, ...files)))
  expect((await check()).findings).toEqual([])
})

it('tls-half: what goes between the nodes is found to be readable', async () => {
  const [port = 0] = cluster.seeds.map((seed) => seed.port)
  await settings(port, 'tls-replication', 'no')
  const { findings } = await check()
  expect(findings.map((finding) => finding.check).sort()).toEqual(['settings-differ', 'tls-half'])
  expect(findings.find((finding) => finding.check === 'tls-half')).toMatchObject({
    nodes: [`127.0.0.1:${port}`],
    seen: expect.stringContaining('tls-replication no'),
    mend: expect.arrayContaining([`redis-cli -h 127.0.0.1 -p ${port} --tls CONFIG SET tls-replication yes`]),
  })
  await settings(port, 'tls-replication', 'yes')
})

it('a queue works, follows redirects, and survives the loss of a master', async () => {
  const { connection } = cluster
  const queue = new TaskQueue<{ note: number }>('over-tls', { connection })
  await queue.connect()
  const done = new Set<number>()
  const worker = new Worker<{ note: number }>(
    'over-tls',
    {
      note: async (task) => {
        done.add(task.data)
      },
    },
    { connection },
  )
  await worker.start()
  const enqueue = (from: number) =>
    queue.enqueueMany(Array.from({ length: 500 }, (_, i) => ({ type: 'note' as const, data: from + i })))
  await enqueue(0)
  const victim = cluster.nodes.find(({ role }) => role === 'master')?.port ?? 0
  await cluster.killNode(victim)
  await enqueue(500)
  await until(
    'a replica is promoted',
    () => inspectAny(cluster.seeds.slice(1), cluster.access),
    (seen) => seen.nodes.filter(({ slots }) => slots.length > 0).every(({ port }) => port !== victim),
  )
  await enqueue(1_000)
  await until(
    'all has run',
    async () => done.size,
    (size) => size === 1_500,
  )
  await worker.stop()
  await queue.disconnect()
  await cluster.restartNode(victim)
  await cluster.waitUntilReady()
  // What was a master follows over TLS, and logs in with masterauth.
  expect((await check()).findings.map((finding) => finding.check)).toEqual(['certificate-ends'])
})

it('nothing is to be had in plain text, or without the password', async () => {
  const [seed] = cluster.seeds
  if (!seed) throw new Error('no node')
  await expect(NodeLink.open(seed).then((link) => link.text('PING'))).rejects.toMatchObject({
    reason: 'tls-only',
  })
  const { tls } = cluster.access
  const link = NodeLink.open(seed, tls === undefined ? {} : { tls })
  await expect(link.then((open) => open.text('INFO').finally(() => open.close()))).rejects.toThrow(
    /credentials/,
  )
})

it('a password that is wrong in the data folder is named as such, and stop stops all the same', async () => {
  const file = join(cluster.dataDir, 'password')
  await writeFile(file, 'another-secret\n')
  const [status, up] = await Promise.all([
    command(['cluster', 'check', '--json']),
    command(['cluster', 'up', '--json']),
  ])
  expect((JSON.parse(status.stdout) as { findings: { check: string }[] }).findings[0]?.check).toBe(
    'password-wrong',
  )
  expect(up.code).toBe(1)
  expect(JSON.parse(up.stdout)).toMatchObject({ error: { name: 'AuthenticationError' } })
  // Not even lost certificates keep a cluster from being stopped.
  await rename(join(folder, 'tls'), join(folder, 'away'))
  const lost = await command(['cluster', 'status'])
  expect(lost.code).toBe(1)
  expect(lost.stderr).toMatch(/cannot read .*ca\.crt \(ENOENT\).*put it back/)
  const stop = await command(['cluster', 'stop'])
  await rename(join(folder, 'away'), join(folder, 'tls'))
  expect(stop.code).toBe(0)
  expect(stop.stdout.match(/Stopped node on port/g)).toHaveLength(6)
  await writeFile(file, `${PASSWORD}\n`)
})

it('secrets are where they belong, and nowhere else', async () => {
  const key = (await readFile(join(folder, 'tls', 'client.key'), 'utf8')).split('\n')[1] ?? ''
  const { dataDir } = cluster
  const files = [join(dataDir, 'cluster.json'), ...cluster.nodes.map(({ dir }) => join(dir, 'redis.log'))]
  for (const text of [...said, ...(await Promise.all(files.map((file) => readFile(file, 'utf8'))))]) {
    expect(text).not.toContain(PASSWORD)
    expect(text).not.toContain('another-secret')
    expect(text).not.toContain(key)
  }
  for (const { dir } of cluster.nodes) {
    expect((await stat(dir)).mode & 0o777).toBe(0o700)
    expect((await stat(join(dir, 'redis.conf'))).mode & 0o777).toBe(0o600)
  }
})

it('a password comes from a file or the environment, and not from the command line', async () => {
  const file = join(folder, 'given')
  await writeFile(file, 'first-line-is-it\nand-not-the-second\n')
  const dataDir = join(folder, 'by-file')
  const port = String(Math.min(...(await freePorts(6))))
  const args = ['cluster', 'up', '--json', '--data-dir', dataDir, '--base-port', port]
  const up = (...more: string[]) => shardq([...args, ...more], { cwd: folder })
  const [typed, missing, alone] = await Promise.all([
    up('--password', 'typed-secret'),
    up('--password-file', join(folder, 'nowhere')),
    up('--tls', '--tls-auth-clients', 'no'),
  ])
  for (const { code } of [typed, missing, alone]) expect(code).toBe(2)
  expect(missing.stdout).toContain('cannot read')
  expect(alone.stdout).toContain('anybody is let in')
  expect(typed.stdout + typed.stderr).not.toContain('typed-secret')
})
