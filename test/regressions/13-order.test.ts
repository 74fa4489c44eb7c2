import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { ownServer } from '../helpers/full-memory.js'

it('tasks of one key keep their order when the reply that handed them out is lost', async () => {
  const { server, queue } = await ownServer()
  const producer = await queue()
  const consumer = await queue()
  await consumer.dequeue({ blockMs: 10 }) // listens from here on
  const count = 40
  for (let i = 0; i < count; i++) await producer.enqueue('note', i, { partitionKey: 'order' })
  // The fetch is on its way when the server stands still, for longer than a command may take.
  const first = consumer.dequeue({ count: 30, blockMs: 100 })
  await new Promise((resolve) => setImmediate(resolve))
  process.kill(server.pid, 'SIGSTOP')
  onTestFinished(() => void process.kill(server.pid, 'SIGCONT'))
  await sleep(1_500)
  process.kill(server.pid, 'SIGCONT')
  const seen: unknown[] = []
  const take = async (deliveries: Awaited<typeof first>) => {
    seen.push(...deliveries.map(({ data }) => data))
    await Promise.all(deliveries.map((delivery) => delivery.complete()))
  }
  await take(await first)
  while (seen.length < count) await take(await consumer.dequeue({ count: 30, blockMs: 5_000 }))
  expect(seen).toEqual(Array.from({ length: count }, (_, i) => i))
})
