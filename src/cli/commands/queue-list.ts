import type { Command } from 'commander'
import { runAction } from '../command.js'
import { type QueueFlags, withQueueOptions } from '../open-queue.js'
import type { Output } from '../output.js'
import { incomplete, renderQueues } from '../queue-report.js'
import { SURVEY_MS, surveyQueues } from '../survey.js'

export function registerQueueList(queue: Command): void {
  withQueueOptions(
    queue
      .command('list')
      .summary('all queues, and how many tasks each has')
      .description(
        'Shows all queues of a cluster, or of a single server, and how many tasks each has in which state. Where a shard does ' +
          'not answer, the others’ figures are shown, the shard is named, and the exit code is 1.',
      ),
    SURVEY_MS,
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
  const { queues, error, silent, unread } = await surveyQueues(flags)
  output.document({ queues: queues.map(({ counters: _, ...rest }) => rest), error, silent, unread })
  if (queues.length > 0) output.lines(renderQueues(queues, output.colors))
  else if (error === null) output.line('no queues')
  if (error === null) return
  for (const line of incomplete({ error, silent, unread })) output.line(output.colors.red(line))
  process.exitCode = 1
}
