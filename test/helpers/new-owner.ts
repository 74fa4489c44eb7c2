import { expect, onTestFinished } from 'vitest'
import { type LocalCluster, nameOf } from '../../src/cluster/index.js'
import { TaskQueue } from '../../src/index.js'
import { eventually, faultsOf } from './behaviour/harness.js'
import { expectClean } from './check-clean.js'
import { shardq } from './cli.js'
import { tell } from './nodes.js'
import { ownCluster } from './own-cluster.js'
import { type RunningCli, running } from './running-cli.js'

export const QUEUE = 'jobs'
export const PARTITIONS = 12

export async function openJobs({ connection }: Pick<LocalCluster, 'connection'>, partitions?: number) {
  const options = partitions === undefined ? {} : { partitions }
  const queue = new TaskQueue<{ t: unknown }>(QUEUE, { connection, ...options })
  onTestFinished(() => queue.disconnect())
  await queue.connect()
  return queue
}

/**
 * A cluster with so many acknowledged tasks in twelve partitions, of which nobody has the queue open; and three masters: `from` is to
 * give all that it has to `to`, which `replica` follows.
 */
export async function newOwnerScene(tasks: number, bytes = 200) {
  const cluster = await ownCluster()
  const queue = await openJobs(cluster, PARTITIONS)
  const ids: string[] = []
  while (ids.length < tasks) {
    const batch = Array.from({ length: 500 }, () => ({ type: 't' as const, data: 'x'.repeat(bytes) }))
    ids.push(...(await queue.enqueueMany(batch)))
  }
  await queue.disconnect()
  const { nodes } = await cluster.status()
  const [from, to] = nodes.filter(({ role }) => role === 'master')
  const replica = nodes.find(({ masterId }) => masterId === to?.id)
  if (!from || !to || !replica) throw new Error('not the nodes that were expected')
  const rebalance = (): RunningCli =>
    running([
      ...['cluster', 'rebalance', '--yes', '--node', nameOf(from)],
      ...['--weight', `${nameOf(from)}=0.001`, '--weight', `${nameOf(to)}=1.999`],
    ])
  const promoted = () =>
    eventually(
      async () => expect(await tell(replica.port, 'CLUSTER', 'NODES')).toContain('myself,master'),
      15_000,
    )
  return { cluster, ids, from, to, replica, rebalance, promoted }
}

export type NewOwnerScene = Awaited<ReturnType<typeof newOwnerScene>>

interface Scene {
  readonly cluster: LocalCluster
  readonly ids: readonly string[]
}

/** Of the nodes but one that is gone for good. */
const living = ({ cluster }: Scene, gone?: number) => cluster.seeds.filter(({ port }) => port !== gone)

/** All tasks are there, in a structure that is clean, and the cluster is. */
export async function expectWhole(scene: Scene, gone?: number): Promise<void> {
  const nodes = living(scene, gone)
  const connection = { mode: 'cluster' as const, nodes }
  const queue = await openJobs({ connection })
  await eventually(async () => expect((await queue.depth()).ready.medium).toBe(scene.ids.length), 20_000)
  const states = await Promise.all(scene.ids.map(async (id) => (await queue.getTask(id))?.state))
  expect(states.filter((state) => state !== 'ready')).toEqual([])
  await queue.disconnect()
  expect(await faultsOf(connection, QUEUE)).toEqual([])
  await expectClean(nodes[0])
}

export const fix = (scene: Scene, options: readonly string[] = [], gone?: number) =>
  shardq(['cluster', 'fix', '--yes', '--node', living(scene, gone).map(nameOf)[0] ?? '', ...options])

/**
 * Whoever was promoted in place of the new owner may have copies of a slot which that one, back again, owns and has. `fix` leaves them, and says
 * how to bring them home; here they are the same, and go.
 */
export async function fixOrBringHome(scene: Scene): Promise<void> {
  const mended = await fix(scene)
  if (mended.code === 0) return
  expect(mended.stdout).toContain('where nobody finds them')
  expect(mended.stdout).toContain('shardq cluster fix --bring-home')
  const { code, stdout, stderr } = await fix(scene, ['--bring-home'])
  expect([code, stdout + stderr]).toEqual([0, expect.stringContaining('mended')])
}
