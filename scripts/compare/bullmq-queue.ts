import { randomBytes } from 'node:crypto'
import { Queue, Worker } from 'bullmq'
import { Cluster } from 'ioredis'
import { nameOf } from '../../src/cluster/index.js'
import { Complaints } from '../../src/drill/complaints.js'
import type { ConsumerEvents, QueueUnderTest } from '../../src/drill/queue-under-test.js'
import { unlinkSlots } from '../../src/drill/remove-keys.js'
import type { Target } from '../../src/drill/target.js'
import { slotOf } from '../../src/keys/slots.js'

export const PREFIX = '{bull}'
export const BULLMQ_SLOT = slotOf(PREFIX)

const CONCURRENCY = 50
const ASK_MS = 2_000
const CLOSE_MS = 10_000
/**
 * A worker that has taken nothing for so long, while jobs wait, is replaced, as an operator would. What is only held by a
 * worker that lost its lock comes back by itself (`stalledInterval`, 30 s).
 */
const STUCK_MS = 20_000
export const RESTARTED = 'the worker took nothing for 20 s although jobs waited, so it was started anew'

/**
 * What BullMQ and ioredis advise for a cluster: a prefix in a hash tag, so that all keys of the queue lie in one slot;
 * `maxRetriesPerRequest: null`; and `retryDelayOnFailover` times `maxRedirections` well above the node time-out, "to
 * insure that no command will fail during a failover". The offline queue stays on, so that an add waits rather than
 * fails. All else as it comes.
 */
const CLIENT = {
  maxRedirections: 300,
  retryDelayOnFailover: 100,
  retryDelayOnClusterDown: 100,
  redisOptions: { maxRetriesPerRequest: null },
} as const

/** BullMQ under the same load. It has no partition keys, and all of a queue is on one master. */
export class BullmqUnderTest implements QueueUnderTest {
  readonly name = `drill-${randomBytes(5).toString('hex')}`
  readonly keys = []
  readonly #complaints = new Complaints()
  readonly #clients: Cluster[] = []
  readonly #queue: Queue<{ token: string }>
  #worker: Worker<{ token: string }> | undefined
  #events: ConsumerEvents | undefined
  #lastRunMs = 0

  constructor(private readonly target: Target) {
    this.#queue = new Queue(this.name, { connection: this.#client(), prefix: PREFIX })
    this.#queue.on('error', (error) => this.#complaints.add(error))
  }

  get complaints(): readonly string[] {
    return this.#complaints.list
  }

  async open(): Promise<void> {
    await this.#queue.waitUntilReady()
  }

  async consume(events: ConsumerEvents): Promise<void> {
    this.#events = events
    const handle = async ({ id = '', data: { token } }: { id?: string; data: { token: string } }) => {
      this.#lastRunMs = performance.now()
      events.run(token, id)
      events.ran(token, id)
    }
    this.#worker = new Worker(this.name, handle, {
      connection: this.#client(),
      prefix: PREFIX,
      concurrency: CONCURRENCY,
    })
    this.#worker.on('error', (error) => this.#complaints.add(error))
    this.#worker.on('completed', ({ id = '', data }) => events.completed(data.token, id))
    this.#worker.on('failed', (job, error) => {
      if (job) events.refused(job.data.token, job.id ?? '', error)
    })
    await this.#worker.waitUntilReady()
  }

  async enqueue(token: string, { delayMs }: { delayMs?: number }): Promise<string> {
    // As with ours: four attempts, and nothing kept of a job that is done.
    const job = await this.#queue.add(
      'drill',
      { token },
      { delay: delayMs ?? 0, attempts: 4, removeOnComplete: true },
    )
    return job.id ?? ''
  }

  masterOf(): string {
    const { nodes } = this.target.before
    const master = nodes.find(({ slots }) =>
      slots.some(([from, to]) => from <= BULLMQ_SLOT && BULLMQ_SLOT <= to),
    )
    return master ? nameOf(master) : '?'
  }

  async structure(): Promise<null> {
    return null
  }

  async held(): Promise<number> {
    const counts = await within(
      ASK_MS,
      this.#queue.getJobCounts('waiting', 'active', 'delayed', 'prioritized', 'failed'),
    )
    const held = Object.values(counts).reduce((sum, count) => sum + count, 0)
    if ((counts.waiting ?? 0) > 0 && performance.now() - this.#lastRunMs > STUCK_MS)
      await this.#restartWorker()
    return held
  }

  async #restartWorker(): Promise<void> {
    this.#complaints.add(new Error(RESTARTED))
    this.#lastRunMs = performance.now()
    const closing = this.#worker?.close(true) ?? Promise.resolve()
    await within(ASK_MS, closing).catch((error: Error) => this.#complaints.add(error))
    if (this.#events) await this.consume(this.#events)
  }

  async close(): Promise<void> {
    // It waits for a shard that is out; whatever comes of that, no socket stays.
    const closing = Promise.all([this.#worker?.close(), this.#queue.close()])
    await within(CLOSE_MS, closing).catch((error: Error) => this.#complaints.add(error))
    for (const client of this.#clients) client.disconnect()
  }

  removeKeys(): Promise<number> {
    return unlinkSlots(this.target, [BULLMQ_SLOT], (key) => key.startsWith(`${PREFIX}:${this.name}:`))
  }

  #client(): Cluster {
    const client = new Cluster([...this.target.connection.nodes], CLIENT)
    client.on('error', (error: Error) => this.#complaints.add(error))
    this.#clients.push(client)
    return client
  }
}

async function within<T>(ms: number, promise: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
