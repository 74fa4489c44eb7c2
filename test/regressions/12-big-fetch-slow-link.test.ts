import { expect, inject, it } from 'vitest'
import { TaskQueue, Worker } from '../../src/index.js'
import { removeKeys } from '../helpers/behaviour/harness.js'
import { throttled } from '../helpers/throttle.js'
import { until } from '../helpers/until.js'

const TASKS = 8
const MIB = 1024 * 1024

/**
 * One reply may hold 8 tasks of 1 MiB, which pass a link of 5 MB/s in 1.7 s: longer than the time-out of a call. It was given
 * up, its node taken for dead, the tasks handed back, and so on for ever.
 */
it('a reply that takes longer than the time-out is waited for while it arrives', async () => {
  const connection = { mode: 'single', url: inject('single').url } as const
  const name = 'big-fetch'
  const { hostname, port } = new URL(connection.url)
  const slow = await throttled({ host: hostname, port: Number(port) }, 5_000_000)
  const queue = new TaskQueue<{ note: string }>(name, { connection, partitions: 1 })
  const attempts: number[] = []
  const worker = new Worker<{ note: string }>(
    name,
    { note: async ({ attempt }) => void attempts.push(attempt) },
    { connection: { mode: 'single', url: `redis://${slow.host}:${slow.port}` }, concurrency: TASKS },
  )
  const errors: Error[] = []
  const states: string[] = []
  worker.on('error', (error) => errors.push(error))
  await queue.connect()
  try {
    await Promise.all(Array.from({ length: TASKS }, () => queue.enqueue('note', 'x'.repeat(MIB - 2))))
    worker.queue.on('shard', ({ state }) => states.push(state))
    await worker.start()
    await until(
      'all tasks have run',
      async () => attempts.length,
      (count) => count === TASKS,
      10_000,
    )
    expect((await queue.stats()).delivered).toBe(TASKS)
    expect(attempts).toEqual(Array(TASKS).fill(1))
    const { nodes } = await worker.queue.stats()
    expect(Object.values(nodes)).toMatchObject([{ timeouts: 0, lost: 0 }])
    expect(states).toEqual([])
    expect(errors).toEqual([])
  } finally {
    await worker.stop({ timeoutMs: 0 })
    await queue.disconnect()
    await removeKeys(connection, name)
  }
})
