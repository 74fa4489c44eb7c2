import { expect, it, onTestFinished } from 'vitest'
import { TaskQueue } from '../../src/index.js'
import { namedCluster } from '../helpers/named-cluster.js'

/** Nodes were called by their addresses, for which such certificates are not. */
it('nodes whose certificates are for host names are called by the names that they announce', async () => {
  const { nodes, tls } = await namedCluster({ secure: true })
  const [seed] = nodes
  const connection = { mode: 'cluster', nodes: [{ host: 'localhost', port: seed?.port ?? 0 }], tls } as const
  const queue = new TaskQueue<{ note: number }>('named', {
    connection,
    durability: 'async',
    enqueueTimeoutMs: 3_000,
  })
  onTestFinished(() => queue.disconnect())
  await queue.connect()
  const keys = Array.from({ length: 30 }, (_, i) => queue.enqueue('note', i, { partitionKey: `key ${i}` }))
  expect(await Promise.all(keys)).toHaveLength(30)
  const { nodes: known } = await queue.stats()
  // Each server once, by the name that it announces, and the seed is one of them.
  expect(Object.keys(known).sort()).toEqual(nodes.map(({ port }) => `localhost:${port}`).sort())
})
