import { expect, it, onTestFinished } from 'vitest'
import { inspect } from '../../../src/cluster/index.js'
import { type Address, withLink } from '../../../src/cluster/link.js'
import { TaskQueue, Worker } from '../../../src/index.js'
import { makePartitions, partitionOfKey } from '../../../src/keys/partitions.js'
import { ownCluster } from '../../helpers/own-cluster.js'
import { until } from '../../helpers/until.js'

const tell = (node: Address, ...[command = '', ...args]: (string | number)[]) =>
  withLink(node, {}, (link) => link.text(String(command), ...args))

/**
 * An operator gives a slot to a master of an older epoch by CLUSTER SETSLOT NODE on every node, which raises none. All nodes
 * agree; a client that lived believed the higher epoch that it had seen, until it was restarted.
 */
it('a slot that its owner disclaims belongs to whom it names, whatever the epochs', async () => {
  const cluster = await ownCluster({ replicasPerMaster: 0 })
  const { connection, seeds } = cluster
  const queue = new TaskQueue<{ note: number }>('given', { connection, durability: 'async', partitions: 3 })
  const done = new Set<number>()
  const worker = new Worker<{ note: number }>(
    'given',
    { note: async ({ data }) => void done.add(data) },
    { connection },
  )
  onTestFinished(() => queue.disconnect())
  await queue.connect()
  await worker.start()
  onTestFinished(() => worker.stop({ timeoutMs: 0 }))

  const { nodes } = await inspect(seeds[0] as Address)
  const newest = nodes.reduce((a, b) => (a.configEpoch > b.configEpoch ? a : b))
  const oldest = nodes.reduce((a, b) => (a.configEpoch < b.configEpoch ? a : b))
  const [partition] = makePartitions('given', 3).filter(({ slot }) =>
    newest.slots.some(([from, to]) => from <= slot && slot <= to),
  )
  if (!partition) throw new Error('the newest master has no partition')
  const key = Array.from({ length: 100 }, (_, i) => `key ${i}`).find(
    (k) => partitionOfKey(k, 3) === partition.index,
  )
  await queue.enqueue('note', 0, { partitionKey: key ?? '' })
  await until(
    'the first task has run',
    async () => done.size,
    (size) => size === 1,
  )

  // Its keys go first, so that they are where the slot will be.
  const slotKeys = (await tell(newest, 'CLUSTER', 'GETKEYSINSLOT', partition.slot, 100)).split(',')
  await tell(newest, 'DEL', ...slotKeys)
  for (const node of [oldest, newest, ...nodes])
    await tell(node, 'CLUSTER', 'SETSLOT', partition.slot, 'NODE', oldest.id)

  const ids = await Promise.all(
    Array.from({ length: 20 }, (_, i) => queue.enqueue('note', i + 1, { partitionKey: key ?? '' })),
  )
  expect(ids).toHaveLength(20)
  await until(
    'all tasks have run',
    async () => done.size,
    (size) => size === 21,
  )
  expect((await queue.depth()).ready).toEqual({ high: 0, medium: 0, low: 0 })
  expect((await queue.stats()).completed).toBeGreaterThanOrEqual(20)
  const { redirects } = await queue.stats()
  await queue.enqueue('note', 99, { partitionKey: key ?? '' })
  expect((await queue.stats()).redirects).toBe(redirects)
})
