import type { Connection } from '../connection/connection.js'
import type { Partition } from '../keys/partitions.js'
import { KeyCheck } from './verify/keys.js'
import { LIMITS, PartitionCheck, type PartitionLimits } from './verify/partition.js'
import { Reader } from './verify/reader.js'
import { Findings, type VerifyProgress, type VerifyReport } from './verify/report.js'

export interface VerifyOptions {
  /** Told after every step, some hundred times a second. */
  readonly onProgress?: (progress: VerifyProgress) => void
  /** Ends it between two steps; then it rejects with the signal's reason. */
  readonly signal?: AbortSignal
}

/**
 * Proves that every task of a queue is in exactly one place, and that nothing else is stored for it. Reads only, in steps of about a
 * millisecond of a master's time, one partition after the other.
 *
 * A partition with little in it is read in one moment, by one script. A larger one is read in pages, while its tasks move; what looks
 * wrong in several passes is looked at by name, by one script again. So no fault is told that was not there at one moment.
 */
export async function verifyQueue(
  queue: string,
  connection: Connection,
  partitions: readonly Partition[],
  options: VerifyOptions & { readonly timeoutMs: number; readonly limits?: PartitionLimits },
): Promise<VerifyReport> {
  const { onProgress, signal, timeoutMs, limits = LIMITS } = options
  const faults = new Findings()
  const unsettled = new Findings()
  const calls = { lane: 'inspect', timeoutMs } as const
  const keyCheck = new KeyCheck(queue, connection, calls, faults)
  let tasks = 0
  let namesWithoutRecord = 0
  let busy = 0
  await keyCheck.whole(partitions.length)
  for (const partition of partitions) {
    let seen = 0
    const step = () => {
      signal?.throwIfAborted()
      onProgress?.({ partition: partition.index, partitions: partitions.length, tasks: tasks + seen })
    }
    const reader = new Reader(queue, connection, partition, calls, step)
    const check = new PartitionCheck(partition, reader, faults, unsettled, limits, (count) => {
      seen += count
    })
    const figures = await check.run()
    tasks += figures.tasks
    namesWithoutRecord += figures.namesWithoutRecord
    if (figures.busy) busy++
    await keyCheck.partition(partition, figures.leases)
    step()
  }
  return {
    queue,
    partitions: partitions.length,
    tasks,
    namesWithoutRecord,
    busy,
    faults: faults.list,
    unsettled: unsettled.list,
    clean: faults.list.length === 0 && unsettled.list.length === 0,
  }
}
