import type { Address, LinkOptions } from '../link.js'
import { KeyLink } from '../operation/key-link.js'
import type { Standing } from './standing.js'
import { byAge } from './upgrade.js'

const ROLLING_KEY = 'shardq:rolling-restart'

/** One that nobody has taken up again for a week is not the one that is meant by the next. */
const KEPT_MS = 7 * 24 * 3600 * 1000
const CALL_MS = 10_000

/**
 * What a rolling restart that was broken off has to be told to go on. It lies in the cluster itself, so that it can be gone on with
 * from anywhere. Whether a node is done is not written down: it is when its process is another one than in the beginning.
 */
export interface Record {
  readonly version: 1
  /** ISO 8601. */
  readonly since: string
  /** The program to which nodes are restarted; null: each to its own. */
  readonly redisPath: string | null
  /** The run id of each node in the beginning, by node id. */
  readonly before: Readonly<{ [id: string]: string }>
  /** Ids of the masters in the beginning. */
  readonly masters: readonly string[]
  /** Id of the node that is being restarted, and may be down on our account. */
  readonly at: string | null
}

/**
 * Where nodes run two versions, an upgrade is half done, and who runs the newer one is done: to restart it beside the older ones once
 * more is what it may not survive (shard-ids.ts).
 */
export function newRecord({ nodes, shards }: Standing, redisPath: string | null): Record {
  const oldest = nodes.flatMap(({ server }) => server ?? []).sort(byAge)[0]
  const begins = nodes.filter(({ server }) => server && oldest && byAge(server, oldest) === 0)
  return {
    version: 1,
    since: new Date().toISOString(),
    redisPath,
    before: Object.fromEntries(begins.flatMap(({ id, runId }) => (runId === null ? [] : [[id, runId]]))),
    masters: shards.map(({ master }) => master.id),
    at: null,
  }
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
      const record = JSON.parse(String(text)) as Record | null
      return record?.version === 1 ? record : null
    } catch {
      return null
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
