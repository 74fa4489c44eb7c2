import { expect, it, onTestFinished } from 'vitest'
import { startSingle } from '../../src/cluster/index.js'
import { NodeLink } from '../../src/cluster/link.js'
import { TaskQueue } from '../../src/index.js'
import { openQueue } from '../../src/queue/open-queue.js'

it('a queue that is there can be opened while memory is full', async () => {
  const server = await startSingle()
  onTestFinished(() => server.stop())
  const options = { connection: { mode: 'single', url: server.url }, enqueueTimeoutMs: 2_000 } as const
  const producer = new TaskQueue<{ note: string }>('full', options)
  await producer.connect()
  await producer.enqueue('note', 'x'.repeat(500_000))
  const link = await NodeLink.open(server)
  await link.text('CONFIG', 'SET', 'maxmemory', '1000000')
  expect(await link.text('SET', 'a', 'b').catch((error: Error) => error.message)).toContain('OOM')
  link.close()

  const second = new TaskQueue<{ note: string }>('full', options)
  await second.connect()
  expect((await second.depth()).ready.medium).toBe(1)
  const looking = await openQueue('full', options)
  expect((await looking.depth()).ready.medium).toBe(1)
  await Promise.all([producer, second, looking].map((queue) => queue.disconnect()))
})
