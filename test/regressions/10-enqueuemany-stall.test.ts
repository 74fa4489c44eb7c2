import { afterEach, describe, expect, it } from 'vitest'
import { sleep } from '../../src/connection/connection.js'
import { EnqueueManyError, NotConnectedError, QueueFullError, TaskQueue } from '../../src/index.js'
import { partitionOfKey } from '../../src/keys/partitions.js'
import { FakeCluster } from '../fake/fake-cluster.js'
import { eventually } from '../helpers/behaviour/harness.js'

const closers: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

/** A queue of two partitions: 0 on master A, which is not there, and 1 on master B. */
async function queueWithoutA(options: object = {}) {
  const cluster = await FakeCluster.start()
  const connection = {
    mode: 'cluster',
    nodes: cluster.seeds,
    commandTimeoutMs: 500,
    connectTimeoutMs: 500,
  } as const
  const queue = new TaskQueue<{ note: unknown }>('many', {
    connection,
    partitions: 2,
    enqueueTimeoutMs: 1_500,
    ...options,
  })
  await queue.connect()
  closers.push(async () => {
    await queue.disconnect()
    await cluster.stop()
  })
  const states: string[] = []
  queue.on('shard', ({ node, state }) => states.push(`${node.split(':')[1]} ${state}`))
  await cluster.a.stop()
  await eventually(() => expect(states).toContain(`${cluster.a.port} down`))
  return { cluster, queue }
}

function keyFor(partition: 0 | 1): string {
  for (let i = 0; ; i++) if (partitionOfKey(`k${i}`, 2) === partition) return `k${i}`
}

const many = (count: number, partitionKey?: string) =>
  Array.from({ length: count }, (_, i) => ({
    type: 'note' as const,
    data: i,
    ...(partitionKey === undefined ? {} : { options: { partitionKey } }),
  }))

/** How long it took, in ms. */
async function timed(work: Promise<unknown>): Promise<number> {
  const startedMs = performance.now()
  await work
  return performance.now() - startedMs
}

const outcomeOf = (work: Promise<unknown>) =>
  work.then(
    () => 'ok',
    (error: Error) => error,
  )

describe('while tasks with a key wait for a master that is down', () => {
  it('many tasks without a key, and many with keys of another master, are taken at once', async () => {
    const { queue } = await queueWithoutA()
    const waiting = many(12_000).map(({ data }) =>
      outcomeOf(queue.enqueue('note', data, { partitionKey: keyFor(0) })),
    )
    expect(await timed(queue.enqueueMany(many(100)))).toBeLessThan(1_000)
    expect(await timed(queue.enqueueMany(many(100, keyFor(1))))).toBeLessThan(1_000)
    expect(new Set((await Promise.all(waiting)).map(String)).size).toBe(1)
  })

  it('they are refused when they take a quarter of the room, by the name of the shard; others are not', async () => {
    const { cluster, queue } = await queueWithoutA({ maxBufferedBytes: 400_000 })
    const toA = many(1_000).map(({ data }) =>
      outcomeOf(queue.enqueue('note', data, { partitionKey: keyFor(0) })),
    )
    const others = [queue.enqueue('note', 1), queue.enqueue('note', 2, { partitionKey: keyFor(1) })]
    expect(await timed(Promise.all(others))).toBeLessThan(1_000)
    const refused = (await Promise.all(toA)).filter((outcome) => outcome instanceof QueueFullError)
    expect(refused.length).toBeGreaterThan(700)
    expect(refused.length).toBeLessThan(900)
    expect(refused[0]?.message).toContain(`127.0.0.1:${cluster.a.port}`)
  })

  it('an enqueueMany of such tasks waits for room, and is never refused for lack of it', async () => {
    const { queue } = await queueWithoutA({ maxBufferedBytes: 100_000, enqueueTimeoutMs: 500 })
    const [failed, taken] = await Promise.allSettled([
      queue.enqueueMany(many(100, keyFor(0))),
      queue.enqueueMany(many(2_000, keyFor(1))),
    ])
    expect(taken.status).toBe('fulfilled')
    const errors = ((failed as PromiseRejectedResult).reason as EnqueueManyError).failures
    expect(errors).toHaveLength(100)
    expect(errors.filter(({ error }) => error instanceof QueueFullError)).toEqual([])
  })
})

describe('disconnect() during an enqueueMany', () => {
  it('leaves the rest of a generator where it is', async () => {
    const { queue } = await queueWithoutA()
    let given = 0
    function* endless() {
      for (;;) yield { type: 'note' as const, data: given++ }
    }
    const sending = queue.enqueueMany(endless()).catch((error) => error)
    await eventually(() => expect(given).toBeGreaterThan(2_000))
    const disconnecting = queue.disconnect()
    const error = await sending
    await disconnecting
    expect(error).toBeInstanceOf(EnqueueManyError)
    expect(error.failures.length).toBeLessThan(5)
    expect(error.failures[0]?.error).toBeInstanceOf(NotConnectedError)
    const atEnd = given
    await sleep(50)
    expect(given).toBe(atEnd)
  })

  it('tells of each item of an array, with one error for all', async () => {
    const { queue } = await queueWithoutA()
    const sending = queue.enqueueMany(many(50_000)).catch((error) => error)
    await sleep(1)
    const disconnecting = queue.disconnect()
    const error = await sending
    await disconnecting
    expect(error).toBeInstanceOf(EnqueueManyError)
    expect(error.ids).toHaveLength(50_000)
    expect(error.failures.length).toBe(error.ids.filter((id: string | null) => id === null).length)
    expect(new Set(error.failures.map((failure: { error: Error }) => failure.error)).size).toBeLessThan(5)
  })
})
