import type { Command } from 'commander'
import { QueueUnavailableError } from '../../errors.js'
import { lastArgument } from '../../shell.js'
import { runAction } from '../command.js'
import { type QueueFlags, withQueue, withQueueOptions } from '../open-queue.js'
import type { Output } from '../output.js'

export function registerQueuePause(queue: Command): void {
  withQueueOptions(
    queue
      .command('pause')
      .argument('<queue>')
      .summary('hand out no more tasks, to nobody')
      .description(
        'Stops handing out tasks of a queue, to every consumer, until `resume`. Enqueueing goes on, and what was handed ' +
          'out before is finished.',
      ),
  )
    .addHelpText('after', '\nExample:\n  $ shardq queue pause backtests')
    .action((name: string, flags: QueueFlags) =>
      runAction(flags, (_, output) => setPaused(name, true, flags, output)),
    )
  withQueueOptions(
    queue
      .command('resume')
      .argument('<queue>')
      .summary('hand out tasks again')
      .description('Hands out the tasks of a paused queue again; consumers that wait are woken.'),
  )
    .addHelpText('after', '\nExample:\n  $ shardq queue resume backtests')
    .action((name: string, flags: QueueFlags) =>
      runAction(flags, (_, output) => setPaused(name, false, flags, output)),
    )
}

async function setPaused(name: string, paused: boolean, flags: QueueFlags, output: Output): Promise<void> {
  await withQueue(flags, name, async (queue) => {
    try {
      await (paused ? queue.pause() : queue.resume())
    } catch (error) {
      if (error instanceof QueueUnavailableError) {
        const done = paused ? 'may be paused' : 'may be handing out tasks again'
        output.line(
          `${name} ${done} on the shards that answer, and not on the other; type this again when it does`,
        )
      }
      throw error
    }
  })
  output.document({ queue: name, paused })
  output.line(
    paused
      ? `${name} is paused; hand its tasks out again with: shardq queue resume ${lastArgument(name)}`
      : `${name} hands out tasks`,
  )
}
