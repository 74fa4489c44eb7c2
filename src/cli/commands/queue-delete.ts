import type { Command } from 'commander'
import { QueueNotFoundError } from '../../errors.js'
import { agree } from '../agree.js'
import { runAction } from '../command.js'
import { type QueueFlags, strikeQueue, withQueue, withQueueOptions } from '../open-queue.js'
import type { Output } from '../output.js'

interface DeleteFlags extends QueueFlags {
  readonly force?: boolean
  readonly yes?: boolean
}

export function registerQueueDelete(queue: Command): void {
  withQueueOptions(
    queue
      .command('delete')
      .argument('<queue>')
      .summary('remove a queue and all its keys, for good')
      .description(
        'Removes every key of a queue from every node, and its name from the list of queues. Refuses while it has tasks, ' +
          'unless --force is given. Stop its producers and workers before: what they write afterwards comes back. If it is ' +
          'broken off, type it again.',
      ),
  )
    .option('--force', 'with all tasks that it has, those that are being run among them')
    .option('--yes', 'do not ask')
    .addHelpText(
      'after',
      `
Examples:
  $ shardq queue delete backtests
  $ shardq queue delete backtests --force --yes --json | jq .deleted`,
    )
    .action((name: string, flags: DeleteFlags) =>
      runAction(flags, (_, output, signal) => deleteQueue(name, flags, output, signal)),
    )
}

async function deleteQueue(
  name: string,
  flags: DeleteFlags,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const { force = false } = flags
  try {
    await withQueue(flags, name, async (queue) => {
      const { ready, active, scheduled, dead } = await queue.depth()
      const waiting = ready.high + ready.medium + ready.low
      output.line(
        `${name} has ${waiting} ready, ${active} active, ${scheduled} scheduled, ${dead} dead tasks`,
      )
      const why = 'what is deleted cannot be brought back'
      await agree(flags, { what: 'the deletion', why }, output, signal)
      await queue.delete({ force })
    })
  } catch (error) {
    // All its keys are gone; its name is not if an earlier deletion was broken off at its end.
    if (!(error instanceof QueueNotFoundError) || !(await strikeQueue(flags, name))) throw error
  }
  output.document({ queue: name, deleted: true })
  output.line(`${name} is deleted`)
}
