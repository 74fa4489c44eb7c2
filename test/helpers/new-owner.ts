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

export async function openJobs({ connection }: Pick<LocalCluster, 'connection'>, partitions?: number) {
  const options = partitions === undefined ? {} : { partitions }
  const queue = new TaskQueue<{ t: string }>(QUEUE, { connection, ...options })
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
  const queue = await openJobs(cluster, 12)
  const ids: string[] = []
  while (ids.length < tasks) {
    const batch = Array.from({ length: 500 }, () => ({ type: 't' as const, data: 'x'.repeat(bytes) }))
    ids.push(...(await queue.enqueueMany(batch)))
  }
  await queue.disconnect()
  const { nodes } = await cluster.status()
  const [from, to, third] = nodes.filter(({ role }) => role === 'master')
  const replica = nodes.find(({ masterId }) => masterId === to?.id)
  if (!from || !to || !third || !replica) throw new Error('not the nodes that were expected')
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
  return { cluster, ids, from, to, third, replica, rebalance, promoted }
}

export type NewOwnerScene = Awaited<ReturnType<typeof newOwnerScene>>

/** All tasks are there, in a structure that is clean, and the cluster is. */
export async function expectWhole({ cluster, ids, third }: NewOwnerScene, gone?: number): Promise<void> {
  const nodes = cluster.seeds.filter(({ port }) => port !== gone)
  const connection = { mode: 'cluster' as const, nodes }
  const queue = await openJobs({ connection })
  await eventually(async () => expect((await queue.depth()).ready.medium).toBe(ids.length), 20_000)
  const states = await Promise.all(ids.map(async (id) => (await queue.getTask(id))?.state))
  expect(states.filter((state) => state !== 'ready')).toEqual([])
  await queue.disconnect()
  expect(await faultsOf(connection, QUEUE)).toEqual([])
  await expectClean(third)
}

export const fix = ({ third }: NewOwnerScene, ...options: string[]) =>
  shardq(['cluster', 'fix', '--yes', '--node', nameOf(third), ...options])
