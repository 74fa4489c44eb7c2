import { setTimeout as sleep } from 'node:timers/promises'
import type { ShardHealth, TaskQueue } from '../index.js'
import type { DemoTasks } from './grid.js'
import type { ShardLine } from './view.js'

const POLL_MS = 50

/** A master that was killed, and who can take its place. */
export interface Killed {
  readonly master: string
  /** `host:port` of its replicas. */
  readonly heirs: readonly string[]
  /** performance.now() of the kill. */
  readonly atMs: number
}

/** Follows the shards as the queue's own client sees them, for the view and to time the failover. */
export class ShardWatch {
  lines: readonly ShardLine[] = []
  #killed: Killed | null = null
  #servedAgainAfterMs: number | null = null

  constructor(
    private readonly queue: Pick<TaskQueue<DemoTasks>, 'health'>,
    private readonly onServedAgain: (master: string, afterMs: number) => void,
  ) {}

  get killed(): Killed | null {
    return this.#killed
  }

  /**
   * From the kill until this client had found the replica as the new master and it answered: from then on its
   * tasks are handed out and confirmed again. Null until then.
   */
  get servedAgainAfterMs(): number | null {
    return this.#servedAgainAfterMs
  }

  expectFailover(killed: Killed): void {
    this.#killed = killed
  }

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
    this.#lookForHeir(shards)
  }

  #lookForHeir(shards: readonly ShardHealth[]): void {
    const killed = this.#killed
    if (!killed || this.#servedAgainAfterMs !== null) return
    const heir = shards.find(({ master, state }) => killed.heirs.includes(master) && state !== 'down')
    if (!heir) return
    this.#servedAgainAfterMs = performance.now() - killed.atMs
    this.onServedAgain(heir.master, this.#servedAgainAfterMs)
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
