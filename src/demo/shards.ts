import { setTimeout as sleep } from 'node:timers/promises'
import type { ShardHealth, TaskQueue } from '../index.js'
import type { DemoTasks } from './grid.js'
import type { ShardLine } from './view.js'

const POLL_MS = 50

/** Follows the shards as the queue's own client sees them, for the view. */
export class ShardWatch {
  lines: readonly ShardLine[] = []

  constructor(private readonly queue: Pick<TaskQueue<DemoTasks>, 'health'>) {}

  /** Looks every 50 ms until the signal fires. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.look()
      await sleep(POLL_MS)
    }
  }

  async look(): Promise<void> {
    const { shards } = await this.queue.health()
    this.lines = [...shards].sort(byPartition).map(describe)
  }
}

/** A shard keeps its place on the screen when its master changes. */
const byPartition = (a: ShardHealth, b: ShardHealth) => (a.partitions[0] ?? 0) - (b.partitions[0] ?? 0)

function describe({ master, state, partitions, replicas }: ShardHealth): ShardLine {
  switch (state) {
    case 'open':
      return {
        master,
        state: 'ok',
        remark: `ok, ${partitions.length} partitions, ${replicas.length} replica`,
      }
    case 'short':
      return {
        master,
        state: 'degraded',
        remark:
          replicas.length === 0
            ? 'hands tasks out, takes none: no replica to confirm them'
            : 'hands tasks out, takes none: its replica does not confirm',
      }
    case 'full':
      return { master, state: 'degraded', remark: 'hands tasks out, takes none: refuses writes' }
    case 'down':
      return { master, state: 'down', remark: 'down' }
  }
}
