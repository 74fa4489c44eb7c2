import { join } from 'node:path'
import { expect, it } from 'vitest'
import {
  type BackupProgress,
  BackupRefusedError,
  type BackupReport,
  backupCluster,
  type LocalCluster,
  planRebalance,
  restoreCluster,
  verifyBackup,
} from '../../src/cluster/index.js'
import { withLink } from '../../src/cluster/link.js'
import { slotsIn } from '../../src/cluster/slots.js'
import { TaskQueue } from '../../src/index.js'
import { lookAt } from '../helpers/mixed-states.js'
import { ownCluster } from '../helpers/own-cluster.js'
import { steadyLoad } from '../helpers/steady-load.js'
import { tempDir } from '../helpers/temp-dir.js'

const TASKS = 10_000
/** For each key that a server saves, so that a snapshot takes a second or more. */
const SAVE_DELAY_US = 50_000

const of = ({ seeds }: LocalCluster) => ({ mode: 'cluster', nodes: seeds }) as const

/** A cluster under load, with tasks that have been acknowledged, and that nobody takes. */
async function scene() {
  const cluster = await ownCluster({ settings: { maxmemory: '1gb' } })
  const queue = new TaskQueue('orders', { connection: of(cluster) })
  await queue.connect()
  const ids = await queue.enqueueMany(
    Array.from({ length: TASKS }, (_, n) => ({ type: 'job', data: { n, group: 'ready' } })),
  )
  await queue.disconnect()
  const known = await lookAt('orders', of(cluster), ids)
  expect([...known.values()].includes(null)).toBe(false)
  const load = await steadyLoad(of(cluster), { rate: 1_000 })
  const masters = (await cluster.status()).nodes.filter(({ role }) => role === 'master')
  for (const { port } of masters) await slowDown(port, SAVE_DELAY_US)
  return { cluster, ids, known, load, masters }
}

const slowDown = (port: number, us: number) =>
  withLink({ host: '127.0.0.1', port }, {}, (link) => link.text('CONFIG', 'SET', 'rdb-key-save-delay', us))

/** Each task that was acknowledged before the backup began is in it, as it was. */
async function isWhole(to: string, { ids, known }: Awaited<ReturnType<typeof scene>>): Promise<void> {
  expect((await verifyBackup(to)).faults).toEqual([])
  const fresh = await ownCluster({ masters: 4, replicasPerMaster: 0, settings: { maxmemory: '1gb' } })
  await restoreCluster(to, fresh.seeds)
  expect(await lookAt('orders', of(fresh), ids)).toEqual(known)
}

/** Begins, and does something as soon as a node sends its snapshot. */
async function during(
  cluster: LocalCluster,
  node: string,
  act: () => Promise<unknown>,
): Promise<{ to: string; report: BackupReport; again: string[] }> {
  const to = join(await tempDir(), 'backup')
  let acting: Promise<unknown> | undefined
  const again: string[] = []
  const onProgress = (progress: BackupProgress) => {
    if (progress.state === 'begun' && progress.node === node) acting ??= act()
    if (progress.state === 'again') again.push(progress.why)
  }
  const report = await backupCluster(cluster.seeds, to, { agreeMs: 60_000, onProgress })
  await acting
  expect(acting).toBeDefined()
  return { to, report, again }
}

it('a master dies while it sends its snapshot, under load: begun anew, and of the replica that took over', async () => {
  const found = await scene()
  const { cluster, load, masters } = found
  const [victim] = masters
  if (!victim) throw new Error('no master')
  const name = `${victim.host}:${victim.port}`
  const { to, report, again } = await during(cluster, name, () => cluster.killNode(victim.port))
  console.log(`${report.tries} tries, ${report.ms} ms: ${again.join('; ')}`)
  expect(report.tries).toBeGreaterThan(1)
  expect(again[0]).toContain(name)
  const { shards, nodes, warnings } = report.manifest
  const heir = shards.find(({ slots }) => slots.some(([first]) => first === victim.slots[0]?.[0]))?.node
  expect(heir).toBeDefined()
  expect(heir?.id).not.toBe(victim.id)
  // It says who had the data, and what became of who had had it.
  expect(nodes.find(({ id }) => id === heir?.id)).toMatchObject({ ...heir, role: 'master', answered: true })
  expect(nodes.find(({ id }) => id === victim.id)).toMatchObject({ answered: false })
  expect(warnings).toContain(`${name} does not answer; it serves no slots`)
  expect(await load.stop()).toMatchObject({ lost: 0 })
  await isWhole(to, found)
})

it('slots move while it is taken, under load: begun anew when that is at its end; while it goes on, refused', async () => {
  const found = await scene()
  const { cluster, load, masters } = found
  const [first, second] = masters
  if (!first || !second) throw new Error('no masters')
  const weights = { [`${first.host}:${first.port}`]: 0.5 }
  let refused: Promise<unknown> | undefined
  const { to, report, again } = await during(cluster, `${second.host}:${second.port}`, async () => {
    const plan = await planRebalance(cluster.seeds, {
      weights,
      onProgress: ({ slots }) => {
        if (slots > 0)
          refused ??= tempDir().then((dir) =>
            backupCluster(cluster.seeds, join(dir, 'to'), { agreeMs: 0 }).catch((error) => error),
          )
      },
    })
    expect((await plan.run({ evenIfChanged: true })).slots).toBeGreaterThan(100)
  })
  console.log(`${report.tries} tries, ${report.ms} ms: ${again.join('; ')}`)
  expect(report.tries).toBeGreaterThan(1)
  const why = await refused
  expect(why).toBeInstanceOf(BackupRefusedError)
  expect((why as Error).message).toContain('rebalance has been running since')
  const now = (await cluster.status()).nodes.find(({ id }) => id === first.id)
  const shard = report.manifest.shards.find(({ node }) => node.id === first.id)
  expect(slotsIn(shard?.slots ?? [])).toEqual(slotsIn(now?.slots ?? []))
  expect(await load.stop()).toMatchObject({ lost: 0 })
  await isWhole(to, found)
})
