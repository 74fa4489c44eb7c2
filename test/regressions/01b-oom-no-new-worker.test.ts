import { expect, it, onTestFinished } from 'vitest'
import { startSingle } from '../../src/cluster/index.js'
import { NodeLink } from '../../src/cluster/link.js'
import { TaskQueue } from '../../src/index.js'
import { openQueue } from '../../src/queue/open-queue.js'
import { fillMemory, ownServer } from '../helpers/full-memory.js'
import { until } from '../helpers/until.js'

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

it('a worker that is started while memory is full drains the queue', async () => {
  const { server, queue, worker } = await ownServer()
  const producer = await queue()
  const notes = Array.from({ length: 100 }, () => ({ type: 'note' as const, data: 'x'.repeat(1_000) }))
  await producer.enqueueMany(notes)
  await fillMemory([server])
  let ran = 0
  const started = await worker({ note: () => void ran++ })
  await until(
    'all tasks have run',
    async () => ran,
    (count) => count === 100,
  )
  expect(started.errors).toEqual([])
  const { ready, active } = await until(
    'the queue is empty',
    () => producer.depth(),
    (depth) => depth.active === 0,
  )
  expect([ready.medium, active]).toEqual([0, 0])
})
