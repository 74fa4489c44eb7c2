import { afterEach, expect } from 'vitest'
import { type Handlers, type QueueOptions, TaskQueue, Worker } from '../../src/index.js'
import { partitionOfKey } from '../../src/keys/partitions.js'
import { memberId, sizeOf } from '../../src/scripts/bundles.js'
import { unpack } from '../../src/scripts/strings.js'
import { eventually } from '../helpers/behaviour/harness.js'
import { FakeCluster, type FakeNode, type Received } from './fake-cluster.js'

export interface NoteTasks {
  note: number
}
export type Notes = TaskQueue<NoteTasks>

const started: FakeCluster[] = []
const connected: Notes[] = []
const workers: Worker<NoteTasks>[] = []

afterEach(async () => {
  // Some of what is asked of a fake never ends; then a queue gives up after its own time-out.
  await Promise.all(workers.splice(0).map((worker) => worker.stop({ timeoutMs: 0 })))
  await Promise.all(connected.splice(0).map((queue) => queue.disconnect()))
  const clusters = started.splice(0)
  try {
    const nodes = clusters.flatMap((cluster) => cluster.nodes)
    await eventually(() => expect(nodes.map((node) => node.connections)).toEqual(nodes.map(() => 0)))
  } finally {
    await Promise.all(clusters.map((cluster) => cluster.stop()))
  }
})

export async function fakeCluster(): Promise<FakeCluster> {
  const cluster = await FakeCluster.start()
  started.push(cluster)
  return cluster
}

/** A queue of two partitions: 0 on master A, 1 on master B. Time-outs are short, so that silence is soon over. */
export async function queueOn(cluster: FakeCluster, options: object = {}): Promise<Notes> {
  const queue: Notes = new TaskQueue('fake', { ...optionsFor(cluster), ...options })
  connected.push(queue)
  await queue.connect()
  return queue
}

export async function workerOn(
  cluster: FakeCluster,
  handlers: Handlers<NoteTasks>,
  options: { readonly leaseMs?: number } = {},
): Promise<Worker<NoteTasks>> {
  const worker = new Worker<NoteTasks>('fake', handlers, { ...optionsFor(cluster), ...options })
  workers.push(worker)
  await worker.start()
  return worker
}

function optionsFor(cluster: FakeCluster): QueueOptions {
  return {
    connection: { mode: 'cluster', nodes: cluster.seeds, commandTimeoutMs: 150, connectTimeoutMs: 500 },
    partitions: 2,
    enqueueTimeoutMs: 1_000,
    confirmTimeoutMs: 50,
  }
}

/** A partition key whose tasks go to this partition. */
export function keyFor(partition: 0 | 1): string {
  for (let i = 0; ; i++) if (partitionOfKey(`key${i}`, 2) === partition) return `key${i}`
}

export interface Stored {
  readonly producer: string
  readonly number: number
  /** Those that are ready, and then those that are scheduled. */
  readonly ids: readonly string[]
}

/** The batches that a node was sent, in order (layout: enqueue.lua). */
export function batchesAt(node: FakeNode): Stored[] {
  return node.calls('enqueue').map(stored)
}

export function stored({ keys, args }: Received): Stored {
  const stringsAt = (i: number) => unpack({ text: args[i] ?? '', count: Number(args[i + 1]) })
  const ready = [4, 6, 8].flatMap(stringsAt).filter((_, i) => i % 2 === 0)
  const scheduled = stringsAt(10).filter((_, i) => i % 3 === 0)
  const ids = [...ready, ...scheduled].flatMap(idsOf)
  return { producer: keys[5]?.split(':').at(-1) ?? '', number: Number(args[1]), ids }
}

/** The ids that a name stands for (bundles.ts). */
function idsOf(name: string): string[] {
  const size = sizeOf(name)
  return size === 1 ? [name] : Array.from({ length: size }, (_, place) => memberId(name, place))
}

/** Ids whose copies a node was told to remove (layout: void.lua). */
export function voidedAt(node: FakeNode): string[] {
  return node.calls('void').flatMap(({ args }) => args.slice(3).flatMap(idsOf))
}

/** All ids that a node has been sent at least once. */
export function idsAt(node: FakeNode): Set<string> {
  return new Set(batchesAt(node).flatMap(({ ids }) => ids))
}
