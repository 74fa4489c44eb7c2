import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readdir, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  findServer,
  type LocalCluster,
  Observer,
  planRolling,
  RollingStoppedError,
} from '../../src/cluster/index.js'
import { withOperation } from '../../src/cluster/operation/index.js'
import { KeyLink } from '../../src/cluster/operation/key-link.js'
import { ROLLING_KEY } from '../../src/cluster/own-keys.js'
import { isAlive, processFromPidFile } from '../../src/cluster/processes.js'
import { LocalRestartHands } from '../../src/cluster/rolling/local-hands.js'
import { TaskQueue, Worker } from '../../src/index.js'
import { RESTART } from '../helpers/bare-servers.js'
import { eventually } from '../helpers/behaviour/harness.js'
import { shardq } from '../helpers/cli.js'
import { tell } from '../helpers/nodes.js'
import { openCluster } from '../helpers/own-cluster.js'
import { tempDir } from '../helpers/temp-dir.js'

let cluster: LocalCluster
let dispose: () => Promise<void>
beforeAll(async () => {
  ;({ cluster, dispose } = await openCluster())
})
afterAll(() => dispose?.())

/** The process of each node, by its port. */
async function runIds(): Promise<Map<number, string>> {
  const observer = new Observer(cluster.seeds)
  try {
    const { nodes } = await observer.observe()
    return new Map(nodes.map((node) => [node.address.port, (node.up && node.info.get('run_id')) || 'down']))
  } finally {
    observer.close()
  }
}

async function restarted(before: ReadonlyMap<number, string>): Promise<number[]> {
  const now = await runIds()
  return [...before].filter(([port, id]) => now.get(port) !== id).map(([port]) => port)
}

/** Enqueues and runs tasks, one in five with a key, until the work is done. @returns how many there were, each of which was run */
async function underWork(work: () => Promise<void>): Promise<number> {
  const connection = { mode: 'cluster' as const, nodes: cluster.seeds }
  const queue = new TaskQueue<{ job: { n: number } }>('rolling', { connection })
  const runs = new Map<number, number>()
  const job = async ({ data: { n } }: { data: { n: number } }) => void runs.set(n, (runs.get(n) ?? 0) + 1)
  const worker = new Worker<{ job: { n: number } }>('rolling', { job }, { connection })
  await queue.connect()
  await worker.start()
  let working = true
  let sent = 0
  const sending = (async () => {
    for (; working; sent++)
      await queue.enqueue('job', { n: sent }, sent % 5 === 0 ? { partitionKey: `k${sent % 7}` } : {})
  })()
  await work()
  working = false
  await sending
  await eventually(() => expect(runs.size).toBe(sent))
  await eventually(async () => expect((await queue.depth()).active).toBe(0))
  await worker.stop()
  await queue.disconnect()
  return sent
}

const toldTo = async (port: number) =>
  (await tell(port, 'CONFIG', 'GET', 'slowlog-max-len')) + (await tell(port, 'ACL', 'LIST'))

const local = () => ({ dataDir: cluster.dataDir, settleMs: 200 })
const stopped = (error: unknown) => {
  expect(error).toBeInstanceOf(RollingStoppedError)
  return error as RollingStoppedError
}

describe('a rolling restart', () => {
  it('on the command line: shown, asked about, and done under work with nothing lost', async () => {
    const args = ['cluster', 'rolling-restart', '--data-dir', cluster.dataDir]
    const before = await runIds()
    const shown = await shardq([...args, '--dry-run'])
    expect(shown).toMatchObject({ code: 0, stderr: '' })
    expect(shown.stdout).toMatch(
      /Rolling restart of 6 nodes.* 1\. restart replica .* 4\. \S+ takes over from \S+.* 9\. /s,
    )
    expect(await shardq(args)).toMatchObject({ code: 2, stderr: expect.stringContaining('--yes') })
    expect(await restarted(before)).toEqual([])

    let done = { code: null as number | null, stdout: '', stderr: '' }
    const tasks = await underWork(async () => {
      done = await shardq([...args, '--yes'])
    })
    expect(done).toMatchObject({ code: 0, stderr: '' })
    expect(done.stdout).toMatch(/(✓ restart replica \S+ \(\d\.\d s\)\n){3}✓ \S+ takes over from/)
    expect(done.stdout).toContain('✅ all 6 nodes are done')
    expect(await restarted(before)).toHaveLength(6)
    expect(tasks).toBeGreaterThan(100)
    expect(await tell(cluster.seeds[0]?.port ?? 0, 'CLUSTER', 'INFO')).toContain('cluster_state:ok')
  })

  it('does not begin while something is off, and says what', async () => {
    const before = await runIds()
    const [master, other] = (await cluster.status()).nodes.filter(({ role }) => role === 'master')
    const slot = master?.slots[0]?.[0] ?? 0
    if (!master || !other) throw new Error('no masters')
    await tell(master.port, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', other.id)
    const open = stopped(await planRolling(cluster.seeds, local()).catch((error: unknown) => error))
    expect(open.problems.join()).toMatch(/^slot \d+ is open.*shardq cluster fix/)
    await tell(master.port, 'CLUSTER', 'SETSLOT', slot, 'STABLE')

    const replica = (await cluster.status()).nodes.find(({ role }) => role === 'replica')?.port ?? 0
    await tell(replica, 'SHUTDOWN', 'NOSAVE').catch(() => {})
    const down = stopped(await planRolling(cluster.seeds, local()).catch((error: unknown) => error))
    expect(down.problems.join()).toContain(`127.0.0.1:${replica} does not answer`)
    await cluster.restartNode(replica)
    await cluster.waitUntilReady()
    before.set(replica, (await runIds()).get(replica) ?? '')

    const { run } = await planRolling(cluster.seeds, local())
    await withOperation(cluster.seeds, {}, { name: 'rebalance' }, undefined, () =>
      expect(run()).rejects.toThrow(/rebalance has been running/),
    )
    const script = join(await tempDir(), 'not-a-server')
    await writeFile(script, '')
    await expect(planRolling(cluster.seeds, { ...local(), redisPath: script })).rejects.toThrow(
      /--redis-path/,
    )
    await expect(planRolling(cluster.seeds)).rejects.toThrow(/--restart-command 'ssh/)
    await expect(planRolling(cluster.seeds, { restartCommand: 'reboot' })).rejects.toThrow(/names no node/)
    expect(await restarted(before)).toEqual([])
  })

  it('clears away the server of its own of one that was killed', async () => {
    const script = fileURLToPath(new URL('../helpers/processes/hold-helper.ts', import.meta.url))
    const child = fork(script, [], { execArgv: ['--import', 'tsx'] })
    const [dir] = (await once(child, 'message')) as [string]
    const server = await processFromPidFile(dir)
    child.kill('SIGKILL')
    await once(child, 'exit')
    if (!server) throw new Error(`no server in ${dir}`)
    expect(await isAlive(server)).toBe(true)
    const hands = await LocalRestartHands.open(cluster.dataDir, null)
    const [node] = (await planRolling(cluster.seeds, local())).nodes
    expect((node && (await hands.defaults(node)))?.get('slowlog-max-len')).toBe('128')
    expect(await isAlive(server)).toBe(false)
    expect(await readdir(dirname(dir))).not.toContain(basename(dir))
  })

  it('takes nothing for done that was written down of another cluster, or of a node that has come since', async () => {
    const link = new KeyLink(cluster.seeds, {})
    const written = async (before: object) => {
      const record = { version: 2, since: 'long ago', redisPath: null, before, masters: [], at: null }
      await link.call({ timeoutMs: 5_000 }, 'SET', ROLLING_KEY, JSON.stringify(record), 'PX', 600_000)
      const { continues, steps } = await planRolling(cluster.seeds, local())
      return { continues, restarts: steps.filter(({ step }) => step.kind === 'restart').length }
    }
    try {
      expect(await written({ a: 'run', b: 'run' })).toEqual({ continues: null, restarts: 6 })
      const [one, two] = (await cluster.status()).nodes
      const some = { [one?.id ?? '']: 'an earlier run', [two?.id ?? '']: 'an earlier run' }
      expect(await written(some)).toEqual({ continues: 'long ago', restarts: 4 })
      await link.call({ timeoutMs: 5_000 }, 'SET', ROLLING_KEY, '{"version":2}')
      expect((await planRolling(cluster.seeds, local())).continues).toBeNull()
    } finally {
      await link.call({ timeoutMs: 5_000 }, 'DEL', ROLLING_KEY)
      link.close()
    }
  })

  it('names a node that its command does not restart, which runs: its files are left alone', async () => {
    const before = await runIds()
    const options = { settleMs: 200, comeBackMs: 1_000, restartCommand: 'true {port}' }
    const plan = await planRolling(cluster.seeds, options)
    const { message } = stopped(await plan.run().catch((error: unknown) => error))
    expect(message).toMatch(
      /did not come back within 1 s: it has not ended yet; it runs, so leave its files alone, .*does not restart it: true \d+/,
    )
    expect(message).not.toMatch(/move|redis-check/)
    expect(await restarted(before)).toEqual([])
  })

  it('goes on where a node was down, and starts it', async () => {
    const before = await runIds()
    const end = `kill $(head -1 '${cluster.dataDir}/node_{port}/redis.pid'); exit 3`
    const plan = await planRolling(cluster.seeds, { settleMs: 200, restartCommand: end })
    const broken = stopped(await plan.run().catch((error: unknown) => error))
    expect(broken.message).toMatch(/ended with 3/)
    await eventually(async () => expect([...(await runIds()).values()]).toContain('down'))
    const enough = new AbortController()
    const onProgress = () => enough.abort()
    const next = await planRolling(cluster.seeds, { ...local(), signal: enough.signal, onProgress })
    expect(next.steps[0]?.step).toMatchObject({ kind: 'restart', down: true })
    await next.run()
    expect(await restarted(before)).toHaveLength(1)
    expect([...(await runIds()).values()]).not.toContain('down')
    await cluster.waitUntilReady()
  })

  it('stops where a node had forgotten what it was told, tells it again, and goes on with --rewrite from anywhere', async () => {
    const before = await runIds()
    const ports = [...before.keys()]
    for (const port of ports) {
      await tell(port, 'CONFIG', 'SET', 'slowlog-max-len', 77)
      await tell(port, 'ACL', 'SETUSER', 'reporter', 'on', '>secret', '+info')
    }
    const plan = await planRolling(cluster.seeds, { ...local(), anew: true })
    const forgotten = stopped(await plan.run().catch((error: unknown) => error))
    expect(forgotten.message).toMatch(/slowlog-max-len, user reporter.*--rewrite/)
    expect(forgotten.message).not.toContain('secret')
    expect(forgotten.done).toHaveLength(1)
    expect(await restarted(before)).toHaveLength(1)
    for (const port of ports) expect(await toldTo(port)).toMatch(/77.*user reporter/s)

    // As on hosts that are not ours: each node by a command.
    const script = join(await tempDir(), 'restart')
    await writeFile(script, RESTART)
    const { path } = await findServer()
    const restartCommand = `sh '${script}' '${path}' '${cluster.dataDir}/node_{port}' # {host}`
    const enough = new AbortController()
    const next = await planRolling(cluster.seeds, {
      settleMs: 200,
      rewrite: true,
      restartCommand,
      signal: enough.signal,
      onProgress: ({ state }) => {
        if (state === 'done') enough.abort()
      },
    })
    expect(next.continues).not.toBeNull()
    expect(next.steps.filter(({ step }) => step.kind === 'restart')).toHaveLength(5)
    const report = await next.run()
    expect(report.interrupted).toBe(true)
    expect(report.done).toHaveLength(2)
    expect(await restarted(before)).toHaveLength(2)
    for (const port of ports) expect(await toldTo(port)).toMatch(/77.*user reporter/s)
  })
})
