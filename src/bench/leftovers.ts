import { randomBytes } from 'node:crypto'
import { inspectAny, type LinkOptions } from '../cluster/index.js'
import { withLink } from '../cluster/link.js'
import type { ClusterConnectionOptions } from '../connection/options.js'
import { removeQueue } from '../drill/remove-keys.js'
import { QUEUES_KEY } from '../keys/keys.js'
import { makePartitions } from '../keys/partitions.js'
import { slotOf } from '../keys/slots.js'
import { DEFAULT_PARTITIONS } from '../queue/queue-options.js'
import { floorKeys } from './floor-client.js'
import { patientAccessOf } from './servers.js'

/** Longer than any reading takes; a queue that was begun before that is of a run that is no more. */
const STALE_MS = 15 * 60_000
/** When the first of these names was given. Nothing that only looks like one is older. */
const EARLIEST_MS = Date.UTC(2025, 0, 1)
/** The floor tries so many tags for each master, and needs a few of them. */
const TAGS_PER_MASTER = 64

/** Says when it was begun, so that what a run leaves that was killed can be told from what another one is at. */
export const benchQueueName = () => `bench-${Date.now().toString(36)}-${randomBytes(5).toString('hex')}`

/** Whether a queue of a benchmark is left from a run that was killed. */
export function isStale(queue: string, nowMs: number): boolean {
  const begun = /^bench-([0-9a-z]{8,9})-[0-9a-f]{10}$/.exec(queue)?.[1]
  const begunMs = Number.parseInt(begun ?? '', 36)
  return begunMs > EARLIEST_MS && begunMs < nowMs - STALE_MS
}

/** The queues of benchmarks on one cluster, shardq's and the floor's. */
export class BenchQueues {
  readonly #access: LinkOptions

  constructor(private readonly connection: ClusterConnectionOptions) {
    this.#access = patientAccessOf(connection)
  }

  /** Writes down that there will be keys of this name, before there are: the floor's are in no list by themselves. */
  async begin(queue: string): Promise<void> {
    await this.#atList('SADD', QUEUES_KEY, queue)
  }

  /** Removes all that a queue has left, whoever made it. */
  async remove(queue: string): Promise<void> {
    const before = await inspectAny(this.connection.nodes, this.#access)
    const masters = before.nodes.filter(({ role, slots }) => role === 'master' && slots.length > 0)
    const keys = Array.from({ length: TAGS_PER_MASTER * masters.length }, (_, i) => floorKeys(queue, i))
    await Promise.all(
      masters.map(({ host, port, slots }) =>
        withLink({ host, port }, this.#access, (link) =>
          Promise.all(
            keys
              .filter(([key]) => slots.some(([first, last]) => first <= slotOf(key) && slotOf(key) <= last))
              .map((each) => link.text('UNLINK', ...each)),
          ),
        ),
      ),
    )
    const partitions = makePartitions(queue, DEFAULT_PARTITIONS).map(({ slot }) => slot)
    // Last, since it takes the name from the list by which the rest would be found again.
    await removeQueue(
      { before, access: this.#access, addressOf: ({ host, port }) => ({ host, port }) },
      queue,
      partitions,
    )
  }

  /** Removes what runs have left that were killed. */
  async removeStale(): Promise<void> {
    const names = (await this.#atList('SMEMBERS', QUEUES_KEY)) as string[]
    const now = Date.now()
    for (const name of names.filter((each) => isStale(each, now))) await this.remove(name)
  }

  async #atList(command: string, ...args: string[]): Promise<unknown> {
    const { nodes } = await inspectAny(this.connection.nodes, this.#access)
    const slot = slotOf(QUEUES_KEY)
    const master = nodes.find(({ slots }) => slots.some(([first, last]) => first <= slot && slot <= last))
    if (!master) throw new Error(`slot ${slot} has no master`)
    return withLink(master, this.#access, (link) => link.reply(command, ...args))
  }
}
