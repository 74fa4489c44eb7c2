import { randomBytes } from 'node:crypto'
import { Redis } from 'ioredis'
import { afterAll, afterEach, expect } from 'vitest'
import { parseClusterNodes } from '../../../src/connection/cluster-view.js'
import { Connection } from '../../../src/connection/connection.js'
import type { ConnectionOptions, NodeAddress } from '../../../src/connection/options.js'
import { type Access, accessOf, resolveTarget } from '../../../src/connection/target.js'
import {
  type Handlers,
  type QueueOptions,
  TaskQueue,
  type VerifyFault,
  Worker,
  type WorkerOptions,
} from '../../../src/index.js'
import { QUEUES_KEY, queueKey } from '../../../src/keys/keys.js'
import { makePartitions } from '../../../src/keys/partitions.js'
import { slotOf } from '../../../src/keys/slots.js'
import { verifyQueue } from '../../../src/queue/verify.js'

const VERIFY_MS = 10_000

export interface TestTasks {
  add: { a: number; b: number }
  note: unknown
}

/** What every behaviour test gets: queues and workers that are closed, and keys that are removed, after each test. */
export interface Harness {
  readonly connection: ConnectionOptions
  name(): string
  queue(options?: Partial<QueueOptions>, name?: string): Promise<TaskQueue<TestTasks>>
  worker(
    name: string,
    handlers: Handlers<TestTasks>,
    options?: Partial<WorkerOptions>,
  ): Promise<Worker<TestTasks>>
  /** A plain client to each master. */
  masters(): Promise<Redis[]>
  /** Of what the test damages by hand, the structure is not checked in the end. */
  damaged(name: string): void
}

export function makeHarness(connection: () => ConnectionOptions): Harness {
  const given: string[] = []
  const names: string[] = []
  const closers: (() => Promise<unknown>)[] = []
  let clients: Promise<Redis[]> | undefined
  const masters = () => (clients ??= connectMasters(connection()))

  const damaged = new Set<string>()

  const newName = () => {
    const name = `t-${randomBytes(5).toString('hex')}`
    names.push(name)
    given.push(name)
    return name
  }

  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
    const nodes = await masters()
    const used = names.splice(0)
    try {
      for (const name of used)
        if (!damaged.delete(name)) expect(await faultsOf(connection(), name)).toEqual([])
    } finally {
      for (const name of used) for (const node of nodes) await removeKeysOn(node, name)
    }
  })

  afterAll(async () => {
    const nodes = await masters()
    for (const node of nodes) {
      const left = await node.keys('shardq:*')
      // Other files use the same servers at the same time, under names of their own.
      expect(left.filter((key) => given.some((name) => key.includes(name)))).toEqual([])
      node.disconnect()
    }
  })

  return {
    get connection() {
      return connection()
    },
    name: newName,
    async queue(options = {}, name = newName()) {
      const queue = new TaskQueue<TestTasks>(name, { connection: connection(), ...options })
      closers.push(() => queue.disconnect())
      await queue.connect()
      return queue
    },
    async worker(name, handlers, options = {}) {
      const worker = new Worker<TestTasks>(name, handlers, { connection: connection(), ...options })
      closers.push(() => worker.stop({ timeoutMs: 1_000 }))
      await worker.start()
      return worker
    },
    masters,
    damaged: (name) => void damaged.add(name),
  }
}

/** What the structural checker finds in a queue that nobody uses; nothing where there is none. */
export async function faultsOf(connection: ConnectionOptions, queue: string): Promise<VerifyFault[]> {
  // The rights of a user that was made for the queue are not enough to read its keys by slot.
  const { seeds } = resolveTarget(connection)
  const access = accessOfTests(connection)
  const [seed] = seeds
  const own: ConnectionOptions =
    connection.mode === 'cluster'
      ? { mode: 'cluster', nodes: seeds, ...access }
      : { mode: 'single', url: `redis://${seed?.host}:${seed?.port}`, ...access }
  const link = new Connection(own)
  await link.start(queue)
  try {
    const key = queueKey(queue)
    const [count] = await link.commands(queue, slotOf(key), [['HGET', key, 'partitions']], {
      lane: 'inspect',
      timeoutMs: VERIFY_MS,
    })
    if (count === null) return []
    const partitions = makePartitions(queue, Number(count))
    const { faults, unsettled } = await verifyQueue(queue, link, partitions, { timeoutMs: VERIFY_MS })
    return [...faults, ...unsettled]
  } finally {
    link.stop()
  }
}

/** What a test does beside the queue needs rights that a user who was made for the queue has not: then, as the default user. */
function accessOfTests(connection: ConnectionOptions): Access {
  const { username, password, ...rest } = accessOf(connection)
  return username === undefined && password !== undefined ? { password, ...rest } : rest
}

async function connectMasters(connection: ConnectionOptions): Promise<Redis[]> {
  const open = ({ host, port }: NodeAddress) =>
    new Redis({ host, port, protocol: 2, ...accessOfTests(connection) })
  const [seed] = resolveTarget(connection).seeds
  if (!seed) return []
  const first = open(seed)
  if (connection.mode === 'single') return [first]
  const view = parseClusterNodes((await first.cluster('NODES')) as string)
  first.disconnect()
  return view
    .filter((node) => node.slots.length > 0)
    .flatMap(({ address }) => (address ? [open(address)] : []))
}

async function removeKeysOn(node: Redis, queue: string): Promise<void> {
  for (const pattern of [`shardq:${queue}:*`, `shardq:{${queue}}:*`]) {
    for (const key of await node.keys(pattern)) await node.unlink(key)
  }
  // Only one of the masters has it.
  for (const key of await node.keys(QUEUES_KEY)) await node.srem(key, queue)
}

/** Removes all that a queue has left on its servers. */
export async function removeKeys(connection: ConnectionOptions, queue: string): Promise<void> {
  for (const node of await connectMasters(connection)) {
    await removeKeysOn(node, queue)
    node.disconnect()
  }
}

/** Waits until `check` stops throwing. */
export async function eventually<Value>(
  check: () => Promise<Value> | Value,
  timeoutMs = 5_000,
): Promise<Value> {
  const deadlineMs = performance.now() + timeoutMs
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (performance.now() > deadlineMs) throw error
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
}
