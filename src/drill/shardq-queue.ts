import { randomBytes } from 'node:crypto'
import { type NodeView, nameOf } from '../cluster/index.js'
import { ShardqError } from '../errors.js'
import { makePartitions, type Partition, partitionOfKey } from '../keys/partitions.js'
import { TaskQueue } from '../queue/task-queue.js'
import { problemsOf } from '../queue/verify/report.js'
import { Worker } from '../worker/worker.js'
import { Complaints } from './complaints.js'
import { ClusterNotWholeError } from './errors.js'
import type { ConsumerEvents, QueueUnderTest } from './queue-under-test.js'
import { removeQueue } from './remove-keys.js'
import type { Target } from './target.js'

type Tasks = { drill: string }

const KEYS = 50
const CONCURRENCY = 50
/** Above the usual outage, or what a worker holds while its shard is down would be given out twice. */
const LEASE_MS = 30_000
const STOP_MS = 5_000
/** Partitions per master at least, so that each has its share; and how far that is raised for a very uneven cluster. */
const PARTITIONS_PER_MASTER = 4
const MOST_PARTITIONS = 1_024

export class ShardqUnderTest implements QueueUnderTest {
  readonly name = `shardq-drill-${randomBytes(5).toString('hex')}`
  readonly keys: QueueUnderTest['keys']
  readonly #partitions: readonly Partition[]
  readonly #owners: readonly NodeView[]
  readonly #complaints = new Complaints()
  readonly #queue: TaskQueue<Tasks>
  #worker: Worker<Tasks> | undefined
  readonly #running = new Map<string, string>()

  constructor(private readonly target: Target) {
    const masters = target.before.nodes.filter(({ slots }) => slots.length > 0)
    this.#partitions = partitionsOver(this.name, masters, target.shard.master)
    this.#owners = this.#partitions.map((partition) => ownerOf(masters, partition.slot))
    this.keys = spreadKeys(this.#partitions.length).map(({ key, index }) => ({
      key,
      struck: this.#owners[index]?.id === target.shard.master.id,
    }))
    const { connection } = target
    this.#queue = new TaskQueue(this.name, { connection, partitions: this.#partitions.length })
    this.#queue.on('error', (error) => this.#complaints.add(error))
  }

  get complaints(): readonly string[] {
    return this.#complaints.list
  }

  open(): Promise<void> {
    return this.#queue.connect()
  }

  async consume(events: ConsumerEvents): Promise<void> {
    const { connection } = this.target
    const drill = ({ id, data }: { id: string; data: string }) => {
      this.#running.set(id, data)
      events.run(data, id)
      events.ran(data, id)
    }
    this.#worker = new Worker<Tasks>(
      this.name,
      { drill },
      { connection, concurrency: CONCURRENCY, leaseMs: LEASE_MS },
    )
    this.#worker.on('completed', ({ task }) => {
      this.#running.delete(task.id)
      events.completed(task.data, task.id)
    })
    this.#worker.on('error', (error) => {
      this.#complaints.add(error)
      const id = taskIdOf(error)
      const token = id === undefined ? undefined : this.#running.get(id)
      if (id === undefined || token === undefined) return
      this.#running.delete(id)
      events.refused(token, id, error)
    })
    await this.#worker.start()
  }

  enqueue(token: string, { key, delayMs }: { key?: string; delayMs?: number }): Promise<string> {
    return this.#queue.enqueue('drill', token, {
      ...(key === undefined ? {} : { partitionKey: key }),
      ...(delayMs === undefined ? {} : { delayMs }),
    })
  }

  masterOf(id: string): string {
    const owner = this.#owners[Number.parseInt(id, 36)]
    return owner ? nameOf(owner) : '?'
  }

  async held(): Promise<number> {
    const { ready, active, scheduled, dead } = await this.#queue.depth()
    return ready.high + ready.medium + ready.low + active + scheduled + dead
  }

  async structure(): Promise<readonly string[]> {
    return problemsOf(await this.#queue.verify())
  }

  async close(): Promise<void> {
    await Promise.all([this.#worker?.stop({ timeoutMs: STOP_MS }), this.#queue.disconnect()])
  }

  removeKeys(): Promise<number> {
    const slots = this.#partitions.map(({ slot }) => slot)
    return removeQueue(this.target, this.name, slots)
  }
}

/** As many as it takes for the struck master to have one; for any usual cluster that is 12, or 4 for each master. */
function partitionsOver(name: string, masters: readonly NodeView[], struck: NodeView): readonly Partition[] {
  let count = Math.min(MOST_PARTITIONS, Math.max(12, PARTITIONS_PER_MASTER * masters.length))
  for (;;) {
    const partitions = makePartitions(name, count)
    if (partitions.some(({ slot }) => ownerOf(masters, slot).id === struck.id)) return partitions
    if (count === MOST_PARTITIONS) {
      throw new ClusterNotWholeError([`${nameOf(struck)} has too few slots for a queue to have a part there`])
    }
    count = Math.min(MOST_PARTITIONS, 2 * count)
  }
}

function ownerOf(masters: readonly NodeView[], slot: number): NodeView {
  const owner = masters.find(({ slots }) => slots.some(([first, last]) => first <= slot && slot <= last))
  if (!owner) throw new ClusterNotWholeError([`slot ${slot} has no master`])
  return owner
}

/** Found by trying: one key for each partition in turn, until there are at least 50. */
function spreadKeys(partitions: number): { key: string; index: number }[] {
  const wanted = Math.max(KEYS, partitions)
  const perPartition = Math.ceil(wanted / partitions)
  const counts = new Array<number>(partitions).fill(0)
  const found: { key: string; index: number }[] = []
  for (let number = 0; found.length < perPartition * partitions; number++) {
    const key = `key-${number}`
    const index = partitionOfKey(key, partitions)
    const count = counts[index] ?? 0
    if (count >= perPartition) continue
    counts[index] = count + 1
    found.push({ key, index })
  }
  return found
}

function taskIdOf(error: Error): string | undefined {
  return error instanceof ShardqError && 'taskId' in error ? String(error.taskId) : undefined
}
