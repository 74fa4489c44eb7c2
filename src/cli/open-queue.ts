import type { Command } from 'commander'
import type { Address } from '../cluster/index.js'
import type { TaskQueue } from '../queue/task-queue.js'
import { wholeNumber } from './arguments.js'
import { type CommonOptions, withCommonOptions } from './command.js'
import { findNodes } from './find-nodes.js'
import { dataDirOption, nodeOption } from './node-options.js'

export interface QueueFlags extends CommonOptions {
  readonly node?: Address
  readonly dataDir?: string
  readonly timeoutMs?: number
}

/** Longest wait of a command for a shard that is down, in ms; a program has more patience. */
const PATIENCE_MS = 5_000

/** Adds what every command takes that looks at queues. */
export function withQueueOptions(command: Command, defaultMs = PATIENCE_MS): Command {
  return withCommonOptions(command)
    .addOption(nodeOption())
    .addOption(dataDirOption('the data folder given to `cluster up`'))
    .option(
      '--timeout-ms <ms>',
      `longest wait for a shard that does not answer (default: ${defaultMs})`,
      wholeNumber(50),
    )
}

/** Opens a queue that is there, and closes it again. @throws QueueNotFoundError, and as TaskQueue.connect */
export async function withQueue<Result>(
  flags: QueueFlags,
  name: string,
  use: (queue: TaskQueue) => Promise<Result>,
): Promise<Result> {
  // Not before it is needed: help and wrong usage are answered without it.
  const { openQueue } = await import('../queue/open-queue.js')
  const enqueueTimeoutMs = flags.timeoutMs ?? PATIENCE_MS
  const queue = await openQueue(name, { connection: await findNodes(flags), enqueueTimeoutMs })
  try {
    return await use(queue)
  } finally {
    await queue.disconnect()
  }
}

/** Strikes the name of a queue that is not there any more from the list of all queues. @returns whether it was listed */
export async function strikeQueue(flags: QueueFlags, name: string): Promise<boolean> {
  const { strikeName } = await import('../queue/registry.js')
  return strikeName(await findNodes(flags), name, PATIENCE_MS)
}
