import type { ConnectionOptions } from '../../src/connection/options.js'
import { type Checkpoint, type Task, TaskQueue, Worker } from '../../src/index.js'
import type { Priority } from '../../src/queue/enqueue-options.js'

type Jobs = { job: { readonly n: number; readonly group: Group } }
type Group = 'completed' | 'dead' | 'failed-once' | 'active' | 'ready' | 'scheduled'

/** How many tasks come to be in which state. */
const GROUPS: readonly (readonly [Group, number])[] = [
  ['completed', 5_000],
  ['dead', 3_000],
  ['failed-once', 2_000],
  ['active', 5_000],
  ['scheduled', 5_000],
  ['ready', 30_000],
]
export const TASKS = GROUPS.reduce((sum, [, count]) => sum + count, 0)
const PRIORITIES: readonly Priority[] = ['high', 'medium', 'low']
/** Of the ready ones, so many have an idempotency key; of the active ones, one in five has checkpoints. */
const KEYED = 1_000
const LOOKS_AT_ONCE = 500
const RESULTS = { ttlMs: 3_600_000 }
/** The attempts that failed, and the tasks that were scheduled, are due so long after they were enqueued. */
const LATER_MS = 60_000

export interface Known {
  readonly task: Task
  readonly checkpoints: readonly Checkpoint[]
}

/** A queue with tasks in every state that there is. */
export class MixedStates {
  readonly ids = new Map<Group, string[]>()
  readonly #queue: TaskQueue<Jobs>

  private constructor(
    readonly name: string,
    connection: ConnectionOptions,
  ) {
    this.#queue = new TaskQueue<Jobs>(name, { connection, results: RESULTS })
  }

  static async fill(name: string, connection: ConnectionOptions, leaseMs: number): Promise<MixedStates> {
    const states = new MixedStates(name, connection)
    await states.#queue.connect()
    for (const [group, count] of GROUPS) {
      const items = Array.from({ length: count }, (_, n) => ({
        type: 'job' as const,
        data: { n, group },
        options: optionsOf(group, n),
      }))
      states.ids.set(group, await states.#queue.enqueueMany(items))
      if (group !== 'ready' && group !== 'scheduled') await states.#handle(group, count, leaseMs)
    }
    return states
  }

  get all(): string[] {
    return [...this.ids.values()].flat()
  }

  async #handle(group: Group, count: number, leaseMs: number): Promise<void> {
    for (let handled = 0; handled < count; ) {
      const deliveries = await this.#queue.dequeue({ count: 500, blockMs: 1_000, leaseMs })
      if (deliveries.length === 0) throw new Error(`${group}: only ${handled} of ${count} were handed out`)
      handled += deliveries.length
      await Promise.all(
        deliveries.map(async (delivery) => {
          if (group === 'completed') return delivery.complete({ doubled: delivery.data.n * 2 })
          if (group === 'active')
            return delivery.data.n % 5 === 0
              ? delivery.checkpoint('half', { at: delivery.data.n })
              : undefined
          await delivery.fail(new Error(`no luck with ${delivery.data.n}`))
        }),
      )
    }
  }

  disconnect(): Promise<void> {
    return this.#queue.disconnect()
  }
}

function optionsOf(group: Group, n: number) {
  if (group === 'dead') return { maxAttempts: 1 }
  if (group === 'failed-once') return { backoff: { type: 'fixed', delayMs: LATER_MS } } as const
  if (group === 'scheduled') return { delayMs: LATER_MS }
  const priority = PRIORITIES[n % PRIORITIES.length] ?? 'medium'
  return group === 'ready' && n < KEYED ? { priority, idempotencyKey: `key ${n}` } : { priority }
}

/** Each of these tasks, and its checkpoints, as the queue of this cluster knows it. */
export async function lookAt(
  name: string,
  connection: ConnectionOptions,
  ids: readonly string[],
): Promise<Map<string, Known | null>> {
  const queue = new TaskQueue<Jobs>(name, { connection, results: RESULTS })
  await queue.connect()
  const found = new Map<string, Known | null>()
  for (let at = 0; at < ids.length; at += LOOKS_AT_ONCE)
    await Promise.all(
      ids.slice(at, at + LOOKS_AT_ONCE).map(async (id) => {
        const [task, checkpoints] = await Promise.all([queue.getTask(id), queue.checkpoints(id)])
        found.set(id, task ? { task, checkpoints } : null)
      }),
    )
  await queue.disconnect()
  return found
}

export interface Drained {
  /** Of each task that was run, how often, with what checkpoints the first time. */
  readonly runs: ReadonlyMap<string, number>
  readonly checkpoints: ReadonlyMap<string, readonly Checkpoint[]>
  /** Ids that enqueueing with the same idempotency keys again gave. */
  readonly repeated: readonly string[]
}

/** Enqueues again what had a key, brings the dead back, and has a worker run everything until nothing is left. */
export async function drain(
  name: string,
  connection: ConnectionOptions,
  timeoutMs: number,
): Promise<Drained> {
  const runs = new Map<string, number>()
  const checkpoints = new Map<string, readonly Checkpoint[]>()
  const options = { connection, results: RESULTS }
  const queue = new TaskQueue<Jobs>(name, options)
  await queue.connect()
  const repeated = await queue.enqueueMany(
    Array.from({ length: KEYED }, (_, n) => ({
      type: 'job' as const,
      data: { n, group: 'ready' as const },
      options: optionsOf('ready', n),
    })),
  )
  await queue.deadLetters.retryAll()
  const worker = new Worker<Jobs>(
    name,
    {
      job: async ({ id, data }, ctx) => {
        if (data.group === 'active' && !runs.has(id)) checkpoints.set(id, await ctx.checkpoints())
        runs.set(id, (runs.get(id) ?? 0) + 1)
      },
    },
    { ...options, concurrency: 200 },
  )
  await worker.start()
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const { ready, active, scheduled, dead } = await queue.depth()
    const left = ready.high + ready.medium + ready.low + active + scheduled + dead
    if (left === 0) break
    if (performance.now() > deadline) throw new Error(`${left} tasks are left after ${timeoutMs} ms`)
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  await worker.stop()
  await queue.disconnect()
  return { runs, checkpoints, repeated }
}
