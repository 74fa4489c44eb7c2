import type { Connection } from '../connection/connection.js'
import { OperationNotConfirmedError, QueueUnavailableError } from '../errors.js'
import type { Partition } from '../keys/partitions.js'
import { pauseCall } from '../scripts/pause.js'
import type { Durability } from './durability.js'

/** Stops deliveries of a whole queue, and lets them go on. */
export class Pausing {
  constructor(
    private readonly queue: string,
    private readonly connection: Connection,
    private readonly durability: Durability,
    private readonly partitions: readonly Partition[],
    private readonly timeoutMs: number,
  ) {}

  /** @throws QueueUnavailableError, OperationNotConfirmedError with the partitions that are left; both may be repeated */
  async set(paused: boolean): Promise<void> {
    const operation = paused ? 'pause' : 'resume'
    const unreached: number[] = []
    const unconfirmed: number[] = []
    let cause: Error | undefined
    await Promise.all(
      this.partitions.map(async (partition) => {
        const call = pauseCall(partition.keys, paused)
        const options = { lane: 'inspect', timeoutMs: this.timeoutMs } as const
        try {
          const { confirmed } = await this.durability.callUntilSafe(partition, call, options)
          if (!confirmed) unconfirmed.push(partition.index)
        } catch (error) {
          if (!(error instanceof QueueUnavailableError)) throw error
          unreached.push(partition.index)
          cause ??= error
        }
      }),
    )
    if (unreached.length > 0) {
      const problem = `${operation} did not reach ${named(unreached)}: ${cause?.message}`
      throw new QueueUnavailableError(this.queue, problem, { cause })
    }
    if (unconfirmed.length > 0) {
      const problem = `the replicas of ${named(unconfirmed)} do not confirm it within ${this.timeoutMs} ms`
      throw new OperationNotConfirmedError(this.queue, operation, unconfirmed.sort(byNumber), problem)
    }
  }

  async isPaused(): Promise<boolean> {
    const replies = await Promise.all(
      this.partitions.map(async ({ slot, keys }) => {
        const options = { lane: 'inspect', timeoutMs: this.timeoutMs } as const
        const [there] = await this.connection.commands(this.queue, slot, [['EXISTS', keys.paused]], options)
        return there === 1
      }),
    )
    return replies.includes(true)
  }
}

const byNumber = (a: number, b: number) => a - b

const named = (partitions: readonly number[]) =>
  `${partitions.length === 1 ? 'partition' : 'partitions'} ${[...partitions].sort(byNumber).join(', ')}`
