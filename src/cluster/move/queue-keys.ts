/**
 * What the tools know of the queue's keys, by their names alone (src/keys/keys.ts builds them, and has its side of this).
 *
 * `shardq:<queue>:{<tag>}:...` is a key of a partition. All of them are written and read by scripts that also name a key which
 * never exists. So a slot that is open, migrating at one end and importing at the other, is a closed partition: the servers
 * refuse every one of these scripts at both ends (TRYAGAIN), since one of its keys is missing. What lies in a closed
 * partition stands still, apart from keys whose time runs out, and may be copied.
 *
 * `shardq:<queue>:{<tag>}:partitions` is a copy of the number of partitions, in a slot of its own: an ordinary key.
 */
const PARTITION_KEY = /^shardq:[^{}]+:\{([^{}]+)\}:(?!partitions$)/
const COPIES_KEY = /^shardq:\{[^{}]+\}:copies$/

/** The hash tag of a partition's key; undefined for any other key. */
export function partitionTag(name: Buffer): string | undefined {
  return PARTITION_KEY.exec(name.toString('latin1'))?.[1]
}

/** SET of the names of all keys of a slot that are copies, in the slot itself, on a node that does not own it yet. */
export function copiesKey(tag: string): string {
  return `shardq:{${tag}}:copies`
}

export function isCopiesKey(name: Buffer): boolean {
  return COPIES_KEY.test(name.toString('latin1'))
}
