import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { ensureValkey } from '../../scripts/find-valkey.js'
import {
  findServer,
  type LocalCluster,
  Observer,
  planRolling,
  type RollingOptions,
  startCluster,
} from '../../src/cluster/index.js'
import { Random } from '../chaos/storm/random.js'
import { shardq } from '../helpers/cli.js'
import { tell } from '../helpers/nodes.js'
import { ownCluster } from '../helpers/own-cluster.js'
import { type PhaseReport, steadyLoad } from '../helpers/steady-load.js'
import { until } from '../helpers/until.js'

const NODE_TIMEOUT = { 'cluster-node-timeout': '5000' }

function row({ name, seconds, enqueued, p50Ms, p99Ms, maxMs }: PhaseReport): string {
  const ms = (value: number) => `${value.toFixed(1)} ms`
  return [
    name.padEnd(42),
    `${seconds.toFixed(1)} s`.padStart(7),
    String(enqueued).padStart(7),
    ...[p50Ms, p99Ms, maxMs].map((value) => ms(value).padStart(10)),
  ].join('  ')
}

/** Under 5,000 tasks per second, a phase for each step. */
async function rollUnderLoad(cluster: LocalCluster, options: RollingOptions = {}) {
  const load = await steadyLoad({ mode: 'cluster', nodes: cluster.seeds })
  await sleep(3_000)
  const phases: PhaseReport[] = []
  const begin = async (name: string) => void phases.push(await load.phase(name))
  let name = ''
  let told = begin('before')
  await sleep(3_000)
  const plan = await planRolling(cluster.seeds, {
    dataDir: cluster.dataDir,
    ...options,
    onProgress: (progress) => {
      if (progress.state === 'begun') {
        const { step } = progress
        name =
          step.kind === 'restart'
            ? `restart ${step.node.role} ${step.node.port}`
            : `${step.kind} to ${step.to.port}`
        told = told.then(() => begin(name))
      }
    },
  })
  const report = await plan.run()
  await told
  await begin('after')
  await sleep(3_000)
  await begin('end')
  const account = await load.stop()
  console.log(phases.map(row).join('\n'))
  console.log(account)
  return { report, phases, account }
}

it('all six nodes under 5,000 tasks per second: nothing lost, nothing refused, no enqueue over 300 ms', async () => {
  const cluster = await ownCluster({ settings: NODE_TIMEOUT })
  const mastersOf = async () =>
    (await cluster.status()).nodes.filter(({ role }) => role === 'master').map(({ port }) => port)
  const masters = await mastersOf()
  const { report, phases, account } = await rollUnderLoad(cluster, { restoreRoles: true })
  expect(await mastersOf()).toEqual(masters)
  expect(report.left).toEqual([])
  expect(report.done).toHaveLength(6)
  expect(account).toMatchObject({ rejected: 0, lost: 0, errors: {} })
  expect(Math.max(...phases.slice(1).map(({ maxMs }) => maxMs))).toBeLessThan(300)
})

it('from Redis to Valkey 8 under 5,000 tasks per second: the same', async () => {
  const valkey = await ensureValkey()
  const cluster = await ownCluster({ settings: NODE_TIMEOUT })
  const { report, phases, account } = await rollUnderLoad(cluster, { redisPath: valkey.path })
  expect(report.left).toEqual([])
  expect(account).toMatchObject({ rejected: 0, lost: 0, errors: {} })
  expect(Math.max(...phases.slice(1).map(({ maxMs }) => maxMs))).toBeLessThan(300)
})

it('an upgrade that is half done: a new node that crashes beside the old ones comes back, and the rest follows', async () => {
  const valkey = await ensureValkey()
  const cluster = await ownCluster()
  const versions = async () => {
    const observer = new Observer(cluster.seeds)
    const { nodes } = await observer.observe()
    observer.close()
    return nodes.map((node) => (node.up ? (node.info.get('valkey_version') ?? 'old') : 'down'))
  }
  const enough = new AbortController()
  const options = { dataDir: cluster.dataDir, redisPath: valkey.path }
  let steps = 0
  const half = await planRolling(cluster.seeds, {
    ...options,
    signal: enough.signal,
    onProgress: ({ state }) => {
      if (state === 'done' && ++steps === 2) enough.abort()
    },
  })
  const { done } = await half.run()
  expect(done).toHaveLength(2)
  for (const name of done) {
    const port = Number(name.split(':')[1])
    // What it has made up of its shards it writes down only then.
    await tell(port, 'CLUSTER', 'SAVECONFIG')
    await tell(port, 'SHUTDOWN', 'NOSAVE').catch(() => {})
    await cluster.restartNode(port)
    await cluster.waitUntilReady()
  }
  const rest = await planRolling(cluster.seeds, options)
  expect(rest.continues).not.toBeNull()
  expect(rest.steps.filter(({ step }) => step.kind === 'restart')).toHaveLength(4)
  expect((await rest.run()).left).toEqual([])
  expect(await versions()).toEqual(new Array(6).fill(valkey.version))

  // What starts it from now on starts the new server; and an older one is refused.
  await cluster.stop()
  await startCluster({ dataDir: cluster.dataDir })
  expect(await versions()).toEqual(new Array(6).fill(valkey.version))
  const older = (await findServer()).path
  await expect(planRolling(cluster.seeds, { ...options, redisPath: older })).rejects.toThrow(
    /what Valkey has written/,
  )
})

it('killed with SIGKILL at ten random moments, each time gone on with to the end: nothing lost', async () => {
  const seed = Number(process.env.SHARDQ_SEED ?? 6)
  const random = new Random(seed)
  const cluster = await ownCluster({ settings: { 'cluster-node-timeout': '2000' } })
  const load = await steadyLoad({ mode: 'cluster', nodes: cluster.seeds })
  await sleep(2_000)
  const args = ['cluster', 'rolling-restart', '--data-dir', cluster.dataDir, '--yes', '--json']
  const startedMs = performance.now()
  expect(await shardq(args)).toMatchObject({ code: 0 })
  const wholeMs = performance.now() - startedMs
  const lines: string[] = []
  while (lines.length < 10) {
    const afterMs = random.between(0, wholeMs)
    const line = await killAndGoOn(cluster, args, (kill) => void setTimeout(kill, afterMs))
    // One that had ended before was not killed.
    if (line !== null) lines.push(`killed after ${afterMs} ms ${line}`)
  }
  const line = await killAndGoOn(cluster, args, async (kill) => {
    await until(
      'a node that is down',
      () => runIds(cluster),
      ({ size }) => size < 6,
      60_000,
    )
    kill()
  })
  lines.push(`killed when a node was down ${line}`)
  const phase = await load.phase('end')
  const account = await load.stop()
  console.log(lines.join('\n'))
  console.log(row({ ...phase, name: 'all of it' }))
  console.log(account)
  expect(account).toMatchObject({ lost: 0 })
})

/** @returns where it was when it was killed; null when it had ended before */
async function killAndGoOn(
  cluster: LocalCluster,
  args: readonly string[],
  when: (kill: () => void) => void,
): Promise<string | null> {
  const before = await runIds(cluster)
  const killed = await shardq(args, { onSpawn: (child) => when(() => child.kill('SIGKILL')) })
  if (killed.code !== null) return null
  const between = await runIds(cluster)
  const startedMs = performance.now()
  const resumed = await shardq(args)
  const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
  expect(resumed, resumed.stdout + resumed.stderr).toMatchObject({ code: 0 })
  const after = await runIds(cluster)
  expect(after.size).toBe(6)
  for (const [port, id] of after) expect(id).not.toBe(before.get(port))
  const done = [...before].filter(([port, id]) => between.get(port) !== id).length
  const down = 6 - between.size
  const { continues, steps } = JSON.parse(resumed.stdout) as {
    continues: string | null
    steps: { kind: string }[]
  }
  // Killed before it had begun, there is nothing to go on with.
  if (done > 0) expect(continues).not.toBeNull()
  // Those that were done are not restarted again; one that was down may have been about to answer.
  const again = steps.filter(({ kind }) => kind === 'restart').length
  if (continues !== null) {
    expect(again).toBeGreaterThanOrEqual(6 - done)
    expect(again).toBeLessThanOrEqual(6 - done + down)
  }
  return `with ${done} of 6 nodes restarted, ${down} of them down; the rest took ${seconds} s`
}

/** The process of each node that answers, by its port. */
async function runIds(cluster: LocalCluster): Promise<Map<number, string>> {
  const observer = new Observer(cluster.seeds)
  try {
    const { nodes } = await observer.observe()
    return new Map(
      nodes.flatMap((node) => (node.up ? [[node.address.port, node.info.get('run_id') ?? ''] as const] : [])),
    )
  } finally {
    observer.close()
  }
}
