import { readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  backupCluster,
  inspectAny,
  type LocalCluster,
  type RestoreReport,
  restoreCluster,
  verifyBackup,
} from '../../src/cluster/index.js'
import { withLink } from '../../src/cluster/link.js'
import { OPERATION_KEY, RESTORE_KEY } from '../../src/cluster/own-keys.js'
import { slotOf } from '../../src/keys/slots.js'
import { Random } from '../chaos/storm/random.js'
import { shardq } from '../helpers/cli.js'
import { contentsOf } from '../helpers/contents.js'
import { drain, lookAt, MixedStates, TASKS } from '../helpers/mixed-states.js'
import { tellAll } from '../helpers/nodes.js'
import { openCluster, ownCluster } from '../helpers/own-cluster.js'
import { steadyLoad } from '../helpers/steady-load.js'
import { tempDir } from '../helpers/temp-dir.js'

/** Long enough that what is active is so still when it is looked at after the restore. */
const LEASE_MS = 90_000
const of = ({ seeds }: LocalCluster) => ({ mode: 'cluster', nodes: seeds }) as const
const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`

/** A row of docs/backup.md. */
function row(what: string, { keys, ms, files, masters }: RestoreReport): string {
  const copyMs = files.reduce((sum, file) => sum + file.copyMs, 0)
  const compareMs = files.reduce((sum, file) => sum + file.compareMs, 0)
  const rate = Math.round((keys / copyMs) * 1000).toLocaleString('en')
  return (
    `| ${what}, ${masters} masters | ${keys.toLocaleString('en')} | ${seconds(ms)} | ${seconds(copyMs)}, ${rate}/s | ` +
    `${seconds(compareMs)} |`
  )
}

it('50,000 tasks in every state, under load; every node destroyed; restored to three and to five masters', async () => {
  const cluster = await ownCluster({ settings: { maxmemory: '1gb' } })
  const states = await MixedStates.fill('orders', of(cluster), LEASE_MS)
  const load = await steadyLoad(of(cluster))
  const known = await lookAt('orders', of(cluster), states.all)
  expect(known.size).toBe(TASKS)
  expect([...known.values()].includes(null)).toBe(false)

  await load.phase('backup')
  const to = join(await tempDir(), 'backup')
  const { manifest, ms } = await backupCluster(cluster.seeds, to)
  const during = await load.phase('after')
  const backed = manifest.shards.reduce((sum, { bytes }) => sum + bytes, 0)
  const keys = manifest.shards.reduce((sum, shard) => sum + shard.keys, 0)
  console.log(
    `backup of ${TASKS} tasks (${keys} keys, ${(backed / 1024 / 1024).toFixed(1)} MB) under ${during.enqueued} enqueues in ` +
      `${seconds(during.seconds * 1000)}: ${seconds(ms)}; enqueue p99 ${during.p99Ms.toFixed(1)} ms, longest ${during.maxMs.toFixed(1)} ms`,
  )
  expect(await load.stop()).toMatchObject({ rejected: 0, lost: 0, repeated: 0 })
  expect((await verifyBackup(to)).faults).toEqual([])

  await states.disconnect()
  for (const { port } of cluster.nodes) await cluster.killNode(port)
  await cluster.stop({ remove: true })
  await expect(readdir(cluster.dataDir)).rejects.toThrow(/ENOENT/)

  const restored: LocalCluster[] = []
  for (const masters of [3, 5]) {
    const fresh = await ownCluster({ masters, settings: { maxmemory: '1gb' } })
    console.log(row('tasks', await restoreCluster(to, fresh.seeds)))
    restored.push(fresh)
  }
  for (const fresh of restored) {
    // Each in its state, with its attempts, error, result and checkpoints, and the times of them.
    expect(await lookAt('orders', of(fresh), states.all)).toEqual(known)
  }
  for (const fresh of restored) {
    const { runs, checkpoints, repeated } = await drain('orders', of(fresh), 180_000)
    const completed = new Set(states.ids.get('completed'))
    expect(states.all.filter((id) => !completed.has(id) && !runs.has(id))).toEqual([])
    expect([...completed].filter((id) => runs.has(id))).toEqual([])
    expect(repeated).toEqual(states.ids.get('ready')?.slice(0, repeated.length))
    for (const id of states.ids.get('active') ?? [])
      expect(checkpoints.get(id), id).toEqual(known.get(id)?.checkpoints)
    const after = await lookAt('orders', of(fresh), states.all)
    expect([...after.values()].filter((each) => each?.task.state !== 'completed')).toEqual([])
  }
})

describe('kill -9 of the restore', () => {
  const SEED = 6
  const MOMENTS = 10
  let source: LocalCluster
  let target: LocalCluster
  const disposals: (() => Promise<void>)[] = []
  beforeAll(async () => {
    for (const masters of [3, 4]) {
      const { cluster, dispose } = await openCluster({ masters })
      disposals.push(dispose)
      if (masters === 3) source = cluster
      else target = cluster
    }
    await fill(source)
  })
  afterAll(async () => {
    await Promise.all(disposals.map((dispose) => dispose()))
  })

  it('at ten random moments: each goes on to the end, and every key is there', async () => {
    const random = new Random(SEED)
    const from = join(await tempDir(), 'backup')
    await backupCluster(source.seeds, from)
    const written = await contentsOf(source.seeds)
    const args = [
      'cluster',
      'restore',
      '--from',
      from,
      '--node',
      `127.0.0.1:${target.seeds[0]?.port}`,
      '--json',
    ]
    const restore = async (killAfterMs?: number) => {
      const started = performance.now()
      const result = await shardq(args, {
        onSpawn: (child) => {
          if (killAfterMs !== undefined) void sleep(killAfterMs).then(() => child.kill('SIGKILL'))
        },
      })
      return { ...result, tookMs: performance.now() - started }
    }
    const whole = await restore()
    expect(whole).toMatchObject({ code: 0, stderr: '' })
    const table: string[] = []
    for (let moment = 1; moment <= MOMENTS; moment++) {
      await empty(target)
      const afterMs = random.between(50, whole.tookMs)
      const killed = await restore(afterMs)
      const found = await contentsOf(target.seeds)
      // Held from before the files are looked at, and left behind by whoever is killed.
      found.delete(OPERATION_KEY)
      const begun = found.has(RESTORE_KEY)
      // It was at its end before, or on its way out: no moment of a restore.
      if (killed.code === 0 || (!begun && found.size > 0)) {
        expect(found).toEqual(written)
        moment--
        continue
      }
      const again = await restore()
      expect(again, `killed after ${afterMs} ms: ${again.stdout}`).toMatchObject({ code: 0, stderr: '' })
      expect(await contentsOf(target.seeds), `killed after ${afterMs} ms`).toEqual(written)
      const report = JSON.parse(again.stdout) as RestoreReport
      expect(report.resumed).toBe(begun)
      const copied = report.files.reduce((sum, file) => sum + file.found, 0)
      table.push(`| ${moment} | ${afterMs} ms | ${copied} keys copied | ${seconds(again.tookMs)} |`)
      expect((await readdir(tmpdir())).filter((name) => name.startsWith('shardq-load-'))).toEqual([])
    }
    console.log(
      `uninterrupted: ${seconds(whole.tookMs)}, ${written.size} keys, seed ${SEED}\n${table.join('\n')}`,
    )
  })

  /** Small keys of every type, and some that are copied in pieces. */
  async function fill(cluster: LocalCluster): Promise<void> {
    const { nodes } = await cluster.status()
    const hour = Date.now() + 3_600_000
    for (const node of nodes.filter(({ role }) => role === 'master'))
      await withLink(node, { timeoutMs: 60_000 }, async (link) => {
        const here = (key: string) => node.slots.some(([a, b]) => a <= slotOf(key) && slotOf(key) <= b)
        const sent: Promise<unknown>[] = []
        for (let n = 0; n < 30_000; n++) {
          const key = `key:${n}`
          if (!here(key)) continue
          if (n % 4 === 0) sent.push(link.text('SET', key, `value ${n}`, 'PXAT', hour + n))
          if (n % 4 === 1) sent.push(link.text('RPUSH', key, 'a', n))
          if (n % 4 === 2) sent.push(link.text('HSET', key, 'field', n))
          if (n % 4 === 3) sent.push(link.text('ZADD', key, n, 'member'))
        }
        await Promise.all(sent)
        for (let n = 0; n < 6; n++) {
          if (!here(`big:${n}`)) continue
          for (let at = 0; at < 60; at++)
            await link.text(
              'HSET',
              `big:${n}`,
              ...Array.from({ length: 1_000 }, (_, i) => [`field ${at * 1_000 + i}`, 'v'.repeat(100)]).flat(),
            )
        }
      })
  }

  async function empty({ seeds }: LocalCluster): Promise<void> {
    const { nodes } = await inspectAny(seeds)
    for (const { port, role } of nodes) if (role === 'master') await tellAll(port, [['FLUSHALL']])
  }
})

it('50,000 small keys: how long a backup takes, and a restore to other numbers of masters', async () => {
  const cluster = await ownCluster()
  const { nodes } = await cluster.status()
  for (const node of nodes.filter(({ role }) => role === 'master'))
    await withLink(node, { timeoutMs: 60_000 }, async (link) => {
      const here = (key: string) => node.slots.some(([a, b]) => a <= slotOf(key) && slotOf(key) <= b)
      const sent: Promise<unknown>[] = []
      for (let n = 0; n < 50_000; n++) {
        const key = `key:${n}`
        if (!here(key)) continue
        if (n % 5 === 0) sent.push(link.text('SET', key, 'v'.repeat(100), 'PX', 3_600_000))
        if (n % 5 === 1) sent.push(link.text('HSET', key, 'a', 1, 'b', 2))
        if (n % 5 === 2) sent.push(link.text('RPUSH', key, 1, 2, 3))
        if (n % 5 === 3) sent.push(link.text('ZADD', key, 1.1, 'a', 2, 'b'))
        if (n % 5 === 4) sent.push(link.text('SADD', key, 'x', 'y'))
      }
      await Promise.all(sent)
    })
  const to = join(await tempDir(), 'backup')
  const { manifest, ms } = await backupCluster(cluster.seeds, to)
  expect(manifest.shards.reduce((sum, { keys }) => sum + keys, 0)).toBe(50_000)
  console.log(`backup of 50,000 small keys: ${seconds(ms)}`)
  const written = await contentsOf(cluster.seeds)
  for (const masters of [3, 5]) {
    const fresh = await ownCluster({ masters })
    console.log(row('small keys', await restoreCluster(to, fresh.seeds)))
    expect(await contentsOf(fresh.seeds)).toEqual(written)
    // The nodes' own AOF has it all, whatever was restored from.
    await Promise.all(fresh.nodes.map(({ port }) => fresh.killNode(port)))
    await Promise.all(fresh.nodes.map(({ port }) => fresh.restartNode(port)))
    await fresh.waitUntilReady()
    expect(await contentsOf(fresh.seeds)).toEqual(written)
  }
})

it('a hash of 100 MB: copied in pieces, so that no node stands still for long', async () => {
  const settings = { maxmemory: '1gb' }
  const [cluster, fresh] = [await ownCluster({ settings }), await ownCluster({ settings })]
  const ownerOf = async ({ seeds }: LocalCluster) => {
    const { nodes } = await inspectAny(seeds)
    const owner = nodes.find(({ slots }) =>
      slots.some(([a, b]) => a <= slotOf('huge') && slotOf('huge') <= b),
    )
    if (!owner) throw new Error('nobody owns it')
    return owner
  }
  const fields = 200_000
  await withLink(await ownerOf(cluster), { timeoutMs: 60_000 }, async (link) => {
    for (let at = 0; at < fields; at += 1_000)
      await link.text(
        'HSET',
        'huge',
        ...Array.from({ length: 1_000 }, (_, i) => [`field ${at + i}`, `${at + i}`.padEnd(500, '.')]).flat(),
      )
    await link.text('PEXPIREAT', 'huge', Date.now() + 3_600_000)
  })
  const to = join(await tempDir(), 'backup')
  await backupCluster(cluster.seeds, to)
  const written = await contentsOf(cluster.seeds)

  let [longestMs, watching] = [0, true]
  const watch = withLink(await ownerOf(fresh), { timeoutMs: 60_000 }, async (link) => {
    while (watching) {
      const askedMs = performance.now()
      await link.text('PING')
      longestMs = Math.max(longestMs, performance.now() - askedMs)
      await sleep(1)
    }
  })
  const report = await restoreCluster(to, fresh.seeds)
  watching = false
  await watch
  console.log(
    `a hash of 100 MB: ${seconds(report.ms)}, longest PING of its node meanwhile ${longestMs.toFixed(0)} ms`,
  )
  expect(await contentsOf(fresh.seeds)).toEqual(written)
})
