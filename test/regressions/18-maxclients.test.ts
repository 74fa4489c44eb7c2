import { connect, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { NodeLink } from '../../src/cluster/link.js'
import { startSingle } from '../../src/cluster.js'
import { QueueUnavailableError, TaskQueue } from '../../src/index.js'
import { until } from '../helpers/until.js'

const MOST = 20

/** Takes every connection that the server gives, and each that becomes free. */
function takeAll(port: number): { readonly held: () => number } {
  const open = new Set<Socket>()
  let over = false
  const taker = (async () => {
    while (!over) {
      const socket = connect(port, '127.0.0.1')
      open.add(socket)
      socket.on('error', () => socket.destroy()).on('close', () => open.delete(socket))
      socket.resume()
      await sleep(5)
    }
  })()
  onTestFinished(async () => {
    over = true
    await taker
    for (const socket of open) socket.destroy()
  })
  return { held: () => open.size }
}

it('a connection that the server refuses does not close those that work', async () => {
  const server = await startSingle({ settings: { maxclients: String(MOST) } })
  onTestFinished(() => server.stop())
  const connection = { mode: 'single', url: server.url } as const
  const queue = new TaskQueue<{ note: number }>('full', { connection, enqueueTimeoutMs: 2_000 })
  onTestFinished(() => queue.disconnect())
  await queue.connect()
  await queue.enqueue('note', 1)
  const states: string[] = []
  queue.on('shard', ({ state }) => states.push(state))
  const others = takeAll(server.port)
  await until(
    'the server takes no more',
    async () => others.held(),
    (count) => count > MOST / 2,
  )
  await sleep(200)

  // A socket that was not needed so far: for subscribing, and the first of its kind.
  const taken = await queue.dequeue({ blockMs: 100 }).catch((error: Error) => error)
  expect(Array.isArray(taken) || taken instanceof Error).toBe(true)
  await Promise.all(Array.from({ length: 50 }, (_, i) => queue.enqueue('note', i)))
  expect(states).toEqual([])

  // Who comes now is told why they are not let in, by queue and tools alike.
  const late = new TaskQueue('late', { connection: { ...connection, connectTimeoutMs: 300 } })
  const refused = await late.connect().catch((error: Error) => error)
  expect(refused).toBeInstanceOf(QueueUnavailableError)
  expect((refused as Error).message).toMatch(/max number of clients reached.*maxclients/)
  expect((refused as Error).cause).toMatchObject({ name: 'TooManyClientsError' })
  const link = NodeLink.open({ host: server.host, port: server.port }).then((open) =>
    open.text('INFO').finally(() => open.close()),
  )
  await expect(link).rejects.toMatchObject({
    name: 'NodeFullError',
    message: expect.stringContaining('max number of clients reached'),
  })
})
