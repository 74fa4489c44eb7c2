import { z } from 'zod'
import type { Address, LinkOptions } from '../link.js'
import { KeyLink } from '../operation/key-link.js'
import { ROLLING_KEY } from '../own-keys.js'
import type { RollNode, Standing } from './standing.js'
import { byAge } from './upgrade.js'

/** One that nobody has taken up again for a week is not the one that is meant by the next. */
const KEPT_MS = 7 * 24 * 3600 * 1000
const CALL_MS = 10_000

/**
 * What a rolling restart that was broken off has to be told to go on. It lies in the cluster itself, so that it can be gone on with
 * from anywhere. Whether a node is done is not written down: it is when its process is another one than in the beginning.
 */
const Kept = z.object({
  version: z.literal(2),
  /** ISO 8601. */
  since: z.string(),
  /** The program to which nodes are restarted; null: each to its own. */
  redisPath: z.string().nullable(),
  /** The run id of each node in the beginning, by node id; null: it was done already. */
  before: z.record(z.string(), z.string().nullable()),
  /** Ids of the masters in the beginning. */
  masters: z.array(z.string()),
  /** Id of the node that is being restarted, and may be down on our account. */
  at: z.string().nullable(),
  /** Files that nodes have written by --rewrite (`Written`). Absent: none. */
  written: z.record(z.string(), z.string()).optional(),
})
export type Record = Readonly<z.infer<typeof Kept>>

export function newRecord(standing: Standing, redisPath: string | null): Record {
  return {
    version: 2,
    since: new Date().toISOString(),
    redisPath,
    before: runsOf(standing),
    masters: standing.shards.map(({ master }) => master.id),
    at: null,
  }
}

/**
 * Where nodes run two versions, an upgrade is half done, and who runs the newer one is done: to restart it beside the older ones once
 * more is what it may not survive (shard-ids.ts).
 */
function runsOf({ nodes }: Standing): Record['before'] {
  const oldest = nodes.flatMap(({ server }) => server ?? []).sort(byAge)[0]
  const isNewer = ({ server }: RollNode) => server !== null && oldest && byAge(server, oldest) > 0
  const runs: Record['before'] = {}
  for (const node of nodes) {
    if (isNewer(node)) runs[node.id] = null
    else if (node.runId !== null) runs[node.id] = node.runId
  }
  return runs
}

/** @returns null: it knows none of the nodes, and is about another cluster */
export function takenUp(kept: Record, standing: Standing): Record | null {
  if (joinedSince(kept, standing).length === standing.nodes.length) return null
  return withJoined(kept, standing)
}

/** What was written down, with the nodes that have come since as they are now: nobody knows of them that they were restarted. */
export const withJoined = (record: Record, standing: Standing): Record => ({
  ...record,
  before: { ...runsOf(standing), ...record.before },
})

/** Those of which it does not say what they were in the beginning, so that they would never be done. */
export const joinedSince = ({ before }: Record, { nodes }: Standing): RollNode[] =>
  nodes.filter(({ id }) => !Object.hasOwn(before, id))

/** Whether it is another process than in the beginning. */
export function wasRestarted({ id, runId }: RollNode, { before }: Record): boolean {
  return runId !== null && Object.hasOwn(before, id) && runId !== before[id]
}

/** Keeps the record, by whoever serves it at the moment. */
export class RecordKeeper {
  readonly #link: KeyLink

  constructor(seeds: readonly Address[], access: LinkOptions) {
    this.#link = new KeyLink(seeds, access)
  }

  /** Null: none, or none that can be read. */
  async read(): Promise<Record | null> {
    const text = await this.#link.call({ timeoutMs: CALL_MS }, 'GET', ROLLING_KEY)
    try {
      return Kept.parse(JSON.parse(String(text)))
    } catch (error) {
      if (error instanceof SyntaxError || error instanceof z.ZodError) return null
      throw error
    }
  }

  /** A replica is asked to confirm it: the master that has it will be handed over soon. */
  async write(record: Record): Promise<void> {
    await this.#link.call({ timeoutMs: CALL_MS }, 'SET', ROLLING_KEY, JSON.stringify(record), 'PX', KEPT_MS)
    await this.#link.confirm()
  }

  async clear(): Promise<void> {
    await this.#link.call({ timeoutMs: CALL_MS }, 'DEL', ROLLING_KEY)
  }

  close(): void {
    this.#link.close()
  }
}
