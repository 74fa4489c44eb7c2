import { expect, it } from 'vitest'
import { TaskQueue } from '../../../src/index.js'
import { makePartitions } from '../../../src/keys/partitions.js'
import { tell } from '../../helpers/nodes.js'
import { ownCluster } from '../../helpers/own-cluster.js'
import { until } from '../../helpers/until.js'

it('a slot without a master is no reason not to connect, when no key of the queue is in it', async () => {
  const cluster = await ownCluster()
  const { nodes } = await cluster.status()
  const masters = nodes.filter(({ role }) => role === 'master')
  expect(makePartitions('elsewhere', 12).map(({ slot }) => slot)).not.toContain(0)
  for (const { port } of masters) await tell(port, 'CLUSTER', 'DELSLOTS', 0)
  await until(
    'slot 0 has no master',
    () => Promise.all(masters.map(({ port }) => tell(port, 'CLUSTER', 'SLOTS'))),
    (views) => views.every((view) => view.startsWith('1,')),
  )
  const queue = new TaskQueue<{ note: number }>('elsewhere', {
    connection: { mode: 'cluster', nodes: masters.map(({ host, port }) => ({ host, port })) },
  })
  await queue.connect()
  try {
    await Promise.all(Array.from({ length: 24 }, (_, i) => queue.enqueue('note', i)))
    expect((await queue.depth()).ready.medium).toBe(24)
  } finally {
    await queue.disconnect()
  }
})
