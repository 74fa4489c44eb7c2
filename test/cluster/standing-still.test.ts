import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { TaskQueue } from '../../src/index.js'

describe('a producer that stands still for longer than its time-outs', () => {
  const queue = new TaskQueue<{ note: number }>('standing-still', {
    connection: { mode: 'cluster', nodes: inject('cluster').nodes, commandTimeoutMs: 200 },
  })
  beforeAll(() => queue.connect())
  afterAll(() => queue.disconnect())

  it('reads the replies that came meanwhile, and takes nobody for dead', async () => {
    // Until there are sockets to all masters.
    for (let i = 0; i < 10; i++) await Promise.all(Array.from({ length: 20 }, () => queue.enqueue('note', 0)))
    const enqueued = Array.from({ length: 20 }, (_, i) => queue.enqueue('note', i))
    // They are on their way, and the replies come while nobody reads.
    await new Promise((resolve) => setImmediate(resolve))
    const untilMs = performance.now() + 1_000
    while (performance.now() < untilMs);
    await Promise.all(enqueued)
    const { reroutes, nodes } = await queue.stats()
    expect(reroutes).toBe(0)
    expect(Object.values(nodes).map(({ timeouts }) => timeouts)).toEqual(Object.values(nodes).map(() => 0))
  })
})
