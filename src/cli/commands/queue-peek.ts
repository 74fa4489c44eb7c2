import { type Command, Option } from 'commander'
import type { Priority } from '../../queue/enqueue-options.js'
import { wholeNumber } from '../arguments.js'
import { runAction } from '../command.js'
import { type QueueFlags, withQueue, withQueueOptions } from '../open-queue.js'
import type { Output } from '../output.js'
import { renderTasks } from '../queue-report.js'

interface PeekFlags extends QueueFlags {
  readonly limit?: number
  readonly priority?: Priority
}

export function registerQueuePeek(queue: Command): void {
  withQueueOptions(
    queue
      .command('peek')
      .argument('<queue>')
      .summary('the tasks that are next, without taking them')
      .description(
        'Shows the tasks that are next, the highest priority first, without taking them. Among tasks of one priority, ' +
          'consumers may meet another order: each of the queue’s partitions has its own.',
      ),
  )
    .option('--limit <n>', 'most tasks, at most 100 (default: 10)', wholeNumber(1))
    .addOption(new Option('--priority <priority>', 'only of this one').choices(['high', 'medium', 'low']))
    .addHelpText(
      'after',
      `
Lines are cut to the width of the terminal; --json has all of each task's data.

Examples:
  $ shardq queue peek backtests
  $ shardq queue peek backtests --priority high --limit 100 --json | jq '.tasks[].data'`,
    )
    .action((name: string, flags: PeekFlags) =>
      runAction(flags, (_, output) => queuePeek(name, flags, output)),
    )
}

async function queuePeek(name: string, flags: PeekFlags, output: Output): Promise<void> {
  const { limit, priority } = flags
  const tasks = await withQueue(flags, name, (queue) =>
    queue.peek({
      ...(limit === undefined ? {} : { limit }),
      ...(priority === undefined ? {} : { priority }),
    }),
  )
  output.document({ queue: name, tasks })
  if (tasks.length === 0) output.line('nothing is ready')
  else output.cutLines(renderTasks(tasks, Date.now()))
}
