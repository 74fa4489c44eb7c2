import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, expect, it, onTestFinished, vi } from 'vitest'
import { withLink } from '../../../src/cluster/link.js'
import { startSingle } from '../../../src/cluster.js'
import { AuthenticationError, TaskQueue, Worker } from '../../../src/index.js'
import { ownCluster } from '../../helpers/own-cluster.js'
import { until } from '../../helpers/until.js'

const SECONDS = 3

afterEach(() => vi.restoreAllMocks())

/** Without a password of ours, the first commands were answered by a protocol error, and each of these had all partitions try at once. */
it.each([
  ['is another', 'one'],
  ['is one, where none was', ''],
])(
  'while the password %s, each node is reported once a second, and nothing is sent before we are let in',
  async (_, first) => {
    const cluster = await ownCluster({ replicasPerMaster: 0 })
    const { seeds } = cluster
    if (first !== '')
      for (const seed of seeds)
        await withLink(seed, {}, (link) => link.text('CONFIG', 'SET', 'requirepass', first))
    const password = first === '' ? {} : { password: first }
    const connection = { ...cluster.connection, ...password }
    const options = { connection, durability: 'async', enqueueTimeoutMs: 1_000 } as const
    const queue = new TaskQueue<{ note: number }>('rotated', options)
    const ran = new Set<number>()
    const worker = new Worker<{ note: number }>(
      'rotated',
      {
        note: async ({ data }) => {
          await sleep(20)
          ran.add(data)
        },
      },
      { connection },
    )
    const idle = new Worker('idle', { note: async () => {} }, { connection })
    const errors: Error[] = []
    const idleErrors: Error[] = []
    queue.on('error', (error) => errors.push(error))
    worker.on('error', (error) => errors.push(error))
    idle.on('error', (error) => idleErrors.push(error))
    await queue.connect()
    await Promise.all([worker.start(), idle.start()])
    onTestFinished(async () => {
      await Promise.all([worker, idle].map((each) => each.stop({ timeoutMs: 500 })))
      await queue.disconnect()
    })
    let acknowledged = 0
    let over = false
    const callers = Array.from({ length: 5 }, async () => {
      for (let n = 0; !over; n++) {
        await queue.enqueue('note', n).then(
          () => acknowledged++,
          () => undefined,
        )
        await sleep(5)
      }
    })
    await until(
      'it works',
      async () => ran.size,
      (size) => size > 20,
    )

    const change = (from: string, to: string) =>
      Promise.all(
        seeds.map((seed) =>
          withLink(seed, from === '' ? {} : { password: from }, async (link) => {
            await link.text('CONFIG', 'SET', 'requirepass', to)
            for (const type of ['normal', 'pubsub'])
              await link.text('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes')
          }),
        ),
      )
    await change(first, 'two')
    await sleep(SECONDS * 1_000)
    const seen = errors.map((error) => error.message)
    expect(seen.filter((text) => /unauthenticated|Protocol error/.test(text))).toEqual([])
    expect(errors.some((error) => error instanceof AuthenticationError)).toBe(true)
    // Of two, of three nodes, for each second that has begun; and the connections that broke, once.
    expect(seen.length).toBeLessThanOrEqual(2 * 3 * (SECONDS + 2))
    expect(idleErrors.some((error) => error instanceof AuthenticationError)).toBe(true)

    await change('two', first)
    const before = acknowledged
    await until(
      'it works again',
      async () => acknowledged,
      (count) => count > before + 20,
    )
    over = true
    await Promise.all(callers)
    // For those who stop the servers.
    for (const seed of seeds)
      await withLink(seed, password, (link) => link.text('CONFIG', 'SET', 'requirepass', ''))
  },
  60_000,
)

it('a password that nobody needs is told of once, and not on the console', async () => {
  const server = await startSingle()
  onTestFinished(() => server.stop())
  const warn = vi.spyOn(console, 'warn')
  const queue = new TaskQueue<{ note: number }>('open', {
    connection: { mode: 'single', url: server.url, password: 'not-needed' },
  })
  const errors: Error[] = []
  queue.on('error', (error) => errors.push(error))
  await queue.connect()
  await queue.enqueue('note', 1)
  await queue.depth()
  await queue.disconnect()
  expect(warn).not.toHaveBeenCalled()
  expect(errors.map(({ name }) => name)).toEqual(['PasswordNotNeededError'])
  expect(errors[0]?.message).not.toContain('not-needed')
})
