import { cp, readFile, readlink, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import {
  type Address,
  freePorts,
  PortInUseError,
  startCluster,
  stopCluster,
  type UpStep,
} from '../../../src/cluster/index.js'
import { withLink } from '../../../src/cluster/link.js'
import { processStamp } from '../../../src/cluster/processes.js'
import { shellWord } from '../../../src/shell.js'
import { shardq } from '../../helpers/cli.js'
import { tempDir } from '../../helpers/temp-dir.js'

/** Of every node: where its process works. */
const placesOf = (nodes: readonly { pid: number }[]) =>
  Promise.all(nodes.map(({ pid }) => readlink(`/proc/${pid}/cwd`)))

test('a data folder that was copied or moved runs where it is, and never in the other one', async () => {
  const dir = await tempDir()
  const [original, copy, moved] = ['original', 'a "copy" of it', 'moved'].map((name) => join(dir, name)) as [
    string,
    string,
    string,
  ]
  for (const dataDir of [original, copy, moved])
    onTestFinished(() => stopCluster({ dataDir, remove: true }).then(() => {}))
  const cluster = await startCluster({
    dataDir: original,
    ports: await freePorts(3),
    replicasPerMaster: 0,
    password: 'secret',
    tls: true,
    settings: { 'cluster-node-timeout': '1000' },
  })
  const { seeds, access, nodes } = cluster
  const link = (node: Address, ...command: [string, ...string[]]) =>
    withLink(node, access, (open) => open.text(...command))
  const readAny = async () => {
    for (const node of seeds) {
      const value = await link(node, 'GET', '{a}').catch(() => null)
      if (value !== null) return value
    }
    return null
  }
  const writeAny = async (value: string) => {
    const done = await Promise.allSettled(seeds.map((node) => link(node, 'SET', '{a}', value)))
    expect(done.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  }
  await writeAny('of the original')
  // A server writes its redis.conf in its own way, with escapes.
  for (const node of seeds) await link(node, 'CONFIG', 'REWRITE')
  await cp(original, copy, { recursive: true })

  // While the original runs, the copy has no ports to run on; nothing of the original is touched.
  const refused = await startCluster({ dataDir: copy }).catch((error: unknown) => error)
  expect(refused).toBeInstanceOf(PortInUseError)
  expect((refused as Error).message).toContain(`a node of the cluster in ${original}`)
  expect((refused as Error).message).toContain(`shardq cluster stop --data-dir ${shellWord(original)}`)
  const frozen = nodes[0]
  await cluster.freezeNode(frozen?.port ?? 0)
  const left = await stopCluster({ dataDir: copy })
  await cluster.resumeNode(frozen?.port ?? 0)
  expect(left.nodes.map(({ outcome }) => outcome)).toEqual(['foreign', 'foreign', 'foreign'])
  for (const { pid } of nodes) expect(await processStamp(pid)).not.toBeNull()
  expect(await readAny()).toBe('of the original')

  // Once it is stopped, the copy works in the copy.
  await cluster.stop()
  const before = await Promise.all(nodes.map((each) => stat(join(each.dir, 'redis.log'))))
  const steps: UpStep[] = []
  const second = await startCluster({ dataDir: copy, onStep: (step) => steps.push(step) })
  expect(steps.find(({ step }) => step === 'moved')).toEqual({ step: 'moved', from: original, isCopy: true })
  expect(await placesOf(second.nodes)).toEqual(second.nodes.map((each) => join(copy, `node_${each.port}`)))
  await writeAny('of the copy')
  expect(await link(seeds[0] as Address, 'CONFIG', 'GET', 'tls-cert-file')).toContain(copy)
  expect(await stopCluster({ dataDir: original })).toMatchObject({ nodes: [{ outcome: 'foreign' }, {}, {}] })
  await second.stop()
  const after = await Promise.all(nodes.map((each) => stat(join(each.dir, 'redis.log'))))
  expect(after.map(({ size }) => size)).toEqual(before.map(({ size }) => size))

  // A move is no more than that.
  await rename(original, moved)
  const up = await shardq(['cluster', 'up', '--data-dir', moved])
  expect(up).toMatchObject({ code: 0, stderr: '' })
  expect(up.stdout).toContain(`It was ${original} before`)
  expect(await readAny()).toBe('of the original')
  const config = await readFile(join(moved, `node_${nodes[0]?.port}`, 'redis.conf'), 'utf8')
  expect(config).not.toContain(original)
  expect(config).toContain('requirepass')

  // Moved while it runs: they are still its nodes.
  await rename(moved, original)
  expect((await startCluster({ dataDir: original })).outcome).toBe('running')
  const stopped = await stopCluster({ dataDir: original })
  expect(stopped.nodes.map(({ outcome }) => outcome)).toEqual(['stopped', 'stopped', 'stopped'])
}, 60_000)

test('two `up` of one folder at once: one of them does it, the other says who is at it', async () => {
  const dataDir = join(await tempDir(), 'cluster')
  onTestFinished(() => stopCluster({ dataDir, remove: true }).then(() => {}))
  const [base = 0] = await freePorts(1)
  const args = ['cluster', 'up', '--data-dir', dataDir, '--base-port', String(base), '--password']
  for (const round of ['new', 'stopped']) {
    const both = await Promise.all([1, 2, 3].map(() => shardq(args)))
    const [winners, losers] = [0, 1].map((wanted) => both.filter(({ code }) => code === wanted))
    expect([round, winners?.length]).toEqual([round, 1])
    for (const { stderr } of losers ?? [])
      expect(stderr).toMatch(/another `shardq cluster up`, process \d+, is at work here/)
    const stop = await shardq(['cluster', 'stop', '--data-dir', dataDir])
    expect(stop.code).toBe(0)
    expect(stop.stdout.match(/Stopped node/g)).toHaveLength(6)
  }
  // The lock of one that was killed stops nobody.
  await writeFile(join(dataDir, 'up.lock'), JSON.stringify({ pid: process.pid, stamp: 'of old' }))
  expect((await startCluster({ dataDir })).outcome).toBe('restarted')
}, 60_000)
