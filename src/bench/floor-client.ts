import { Redis } from 'ioredis'
import type { ConnectionOptions, NodeAddress } from '../connection/options.js'
import { accessOf } from '../connection/target.js'
import { slotOf } from '../keys/slots.js'
import type { BenchClient, WorkOptions } from './client.js'

/** Tasks in one round of calls, and lists per master: as large and as many as shardq's under load. */
const BATCH = 100
const LISTS_PER_MASTER = 4
const IDLE_MS = 1

const tagOf = (name: string, index: number) => `{${name}.${index}}`

/** All keys that one list of the floor may have; one slot. */
export const floorKeys = (name: string, index: number): [string, string, string] => {
  const tag = tagOf(name, index)
  return [`${tag}:tasks`, `${tag}:ready`, `${tag}:active`]
}

interface List {
  readonly tag: string
  /** Enqueueing waits for replicas, and WAIT holds its whole socket. */
  readonly writes: Redis
  readonly reads: Redis
  sequence: number
}

/**
 * The floor: the calls that a queue with these guarantees cannot do without, in batches, and nothing around them. No
 * promise per task, no retries, no redirects, no leases, no fencing, and no way to wake anybody.
 */
export async function open(connection: ConnectionOptions, name: string): Promise<BenchClient> {
  const sockets: Redis[] = []
  const socketTo = (address: NodeAddress): Redis => {
    const redis = new Redis({ ...address, ...accessOf(connection) })
    sockets.push(redis)
    return redis
  }
  const replicated = connection.mode === 'cluster'
  const lists: List[] = []
  for (const master of await mastersOf(connection, socketTo)) {
    const writes = socketTo(master.address)
    const reads = socketTo(master.address)
    for (let found = 0, i = 0; found < LISTS_PER_MASTER; i++) {
      const tag = tagOf(name, i)
      if (!master.owns(slotOf(tag))) continue
      lists.push({ tag, writes, reads, sequence: 0 })
      found++
    }
  }
  let turn = 0
  let stopped = false
  const loops: Promise<void>[] = []

  async function store(payloads: readonly string[]): Promise<void> {
    const list = lists[turn++ % lists.length] as List
    const ids = payloads.map(() => (list.sequence++).toString(36))
    const pipeline = list.writes.pipeline()
    pipeline.hset(`${list.tag}:tasks`, ...ids.flatMap((id, i) => [id, payloads[i] ?? '']))
    pipeline.rpush(`${list.tag}:ready`, ...ids)
    if (replicated) pipeline.call('WAIT', '1', '1000')
    await pipeline.exec()
  }

  async function take(list: List, { onStart, onDone }: WorkOptions): Promise<void> {
    let done: string[] = []
    while (!stopped) {
      const pipeline = list.reads.pipeline()
      if (done.length > 0) {
        pipeline.hdel(`${list.tag}:tasks`, ...done)
        pipeline.srem(`${list.tag}:active`, ...done)
      }
      pipeline.lpop(`${list.tag}:ready`, BATCH)
      const results = (await pipeline.exec()) ?? []
      for (let i = 0; i < done.length; i++) onDone()
      done = (results.at(-1)?.[1] as string[] | null) ?? []
      if (done.length === 0) {
        await new Promise((resolve) => setTimeout(resolve, IDLE_MS))
        continue
      }
      const held = await list.reads
        .pipeline()
        .sadd(`${list.tag}:active`, ...done)
        .hmget(`${list.tag}:tasks`, ...done)
        .exec()
      for (const payload of (held?.[1]?.[1] as string[] | undefined) ?? []) onStart(payload)
    }
  }

  return {
    async enqueueMany(payloads) {
      const calls: Promise<void>[] = []
      for (let at = 0; at < payloads.length; at += BATCH) calls.push(store(payloads.slice(at, at + BATCH)))
      await Promise.all(calls)
    },
    enqueue: (payload) => store([payload]),
    async work(options) {
      for (const list of lists) loops.push(take(list, options))
    },
    async close() {
      stopped = true
      await Promise.all(loops)
      for (const { tag, writes } of lists)
        await writes.unlink(`${tag}:tasks`, `${tag}:ready`, `${tag}:active`)
      for (const redis of sockets) redis.disconnect()
    },
  }
}

interface Master {
  readonly address: NodeAddress
  owns(slot: number): boolean
}

async function mastersOf(
  connection: ConnectionOptions,
  socketTo: (address: NodeAddress) => Redis,
): Promise<Master[]> {
  if (connection.mode === 'single') {
    const { hostname, port } = new URL(connection.url)
    return [{ address: { host: hostname, port: Number(port || 6379) }, owns: () => true }]
  }
  const [seed] = connection.nodes
  if (!seed) throw new Error('no node to ask')
  const ranges = (await socketTo(seed).call('CLUSTER', 'SLOTS')) as [number, number, [string, number]][]
  const byName = new Map<string, { address: NodeAddress; ranges: [number, number][] }>()
  for (const [from, to, [host, port]] of ranges) {
    const known = byName.get(`${host}:${port}`) ?? { address: { host, port }, ranges: [] }
    known.ranges.push([from, to])
    byName.set(`${host}:${port}`, known)
  }
  return [...byName.values()].map((master) => ({
    address: master.address,
    owns: (slot) => master.ranges.some(([from, to]) => from <= slot && slot <= to),
  }))
}
