import { expect, inject, it, vi } from 'vitest'
import { TaskQueue } from '../../src/index.js'
import { emitSafely } from '../../src/queue/emit-safely.js'
import { fakeCluster, queueOn } from '../fake/harness.js'
import { eventually, makeHarness } from '../helpers/behaviour/harness.js'
import { until } from '../helpers/until.js'

const harness = makeHarness(() => ({ mode: 'single', url: inject('single').url }))

/** Of a queue, whose internals tell of a shard while they deal with a master that has gone. */
it('a shard listener that throws or rejects harms nobody, and is told to the error listeners, once', async () => {
  const cluster = await fakeCluster()
  const queue = await queueOn(cluster)
  const heard: string[] = []
  const told: string[] = []
  queue.on('shard', ({ state }) => {
    throw new Error(`listener: ${state}`)
  })
  queue.on('shard', async ({ state }) => {
    throw new Error(`async listener: ${state}`)
  })
  queue.on('shard', ({ state }) => told.push(state))
  queue.on('error', (error) => heard.push(error.message))
  cluster.a.frozen = true
  const callers = Promise.allSettled(Array.from({ length: 20 }, (_, i) => queue.enqueue('note', i)))
  await eventually(() => expect(told).toContain('down'))
  await eventually(() =>
    expect(heard).toEqual(expect.arrayContaining(['listener: down', 'async listener: down'])),
  )
  expect(heard.filter((message) => message === 'listener: down')).toHaveLength(1)
  const outcomes = await callers
  expect(outcomes.map(({ status }) => status)).toEqual(new Array(20).fill('fulfilled'))
  await queue.disconnect()
})

it('error listeners of queue and worker that throw, all of them: one warning, and no more', async () => {
  const warn = vi.spyOn(process, 'emitWarning').mockImplementation(() => {})
  try {
    const queue = await harness.queue()
    let done = 0
    const worker = await harness.worker(queue.name, { note: () => null })
    worker.on('error', () => {
      throw Object.create(null)
    })
    worker.on('error', () => Promise.reject(Object.create(null)) as never)
    worker.on('completed', () => {
      throw new Error('completed listener')
    })
    worker.on('completed', () => Promise.reject(new Error('async completed listener')) as never)
    worker.on('completed', () => done++)
    await queue.enqueueMany(Array.from({ length: 20 }, (_, i) => ({ type: 'note' as const, data: i })))
    await until(
      'all are done',
      async () => done,
      (count) => count === 20,
    )
    expect(worker.health().metrics).toEqual({ completed: 20, failed: 0, dead: 0, lost: 0 })
    await worker.stop()
    expect(warn).toHaveBeenCalledTimes(1)
  } finally {
    warn.mockRestore()
  }
})

it('what an error listener throws goes to the others, once, and not back to itself', () => {
  const queue = new TaskQueue(harness.name(), { connection: { mode: 'single', url: inject('single').url } })
  const heard: string[] = []
  queue.on('error', (error) => {
    throw new Error(`on ${error.message}`)
  })
  queue.on('error', (error) => heard.push(error.message))
  emitSafely(queue, 'error', new Error('first'))
  expect(heard).toEqual(['on first', 'first'])
})

it('a listener that was added by once hears once', () => {
  const queue = new TaskQueue(harness.name(), { connection: { mode: 'single', url: inject('single').url } })
  let heard = 0
  queue.once('error', () => heard++)
  emitSafely(queue, 'error', new Error('first'))
  emitSafely(queue, 'error', new Error('second'))
  expect({ heard, left: queue.listenerCount('error') }).toEqual({ heard: 1, left: 0 })
})
