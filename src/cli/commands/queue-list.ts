import type { Command } from 'commander'
import { runAction } from '../command.js'
import { type QueueFlags, withQueueOptions } from '../open-queue.js'
import type { Output } from '../output.js'
import { renderQueues } from '../queue-report.js'
import { surveyQueues } from '../survey.js'

export function registerQueueList(queue: Command): void {
  withQueueOptions(
    queue
      .command('list')
      .summary('all queues, and how many tasks each has')
      .description(
        'Shows all queues of a cluster, or of a single server, and how many tasks each has in which state.',
      ),
  )
    .addHelpText(
      'after',
      `
Examples:
  $ shardq queue list
  $ shardq queue list --json | jq -r '.queues[] | select(.dead > 0) | .name'`,
    )
    .action((flags: QueueFlags) => runAction(flags, queueList))
}

async function queueList(flags: QueueFlags, output: Output): Promise<void> {
  const { queues, error } = await surveyQueues(flags)
  output.document({ queues: queues.map(({ counters: _, ...rest }) => rest), error })
  output.line(queues.length === 0 && error === null ? 'no queues' : renderQueues(queues, output.colors))
  if (error === null) return
  output.line(output.colors.red(`it may not be all: ${error}`))
  process.exitCode = 1
}
