import type { Command } from 'commander'
import { QueueNotFoundError } from '../../errors.js'
import { runAction } from '../command.js'
import { type QueueFlags, withQueueOptions } from '../open-queue.js'
import type { Output } from '../output.js'
import { renderCounters, renderDepths } from '../queue-report.js'
import { SURVEY_MS, surveyQueues } from '../survey.js'

export function registerQueueStats(queue: Command): void {
  withQueueOptions(
    queue
      .command('stats')
      .argument('[queue]', 'only this one')
      .summary('depth by shard and queue, and what each has done since it was made')
      .description(
        'Shows how many tasks are in which state, by shard and by queue, and counts since each queue was made: enqueued, ' +
          'delivered, completed, failed, retried, dead, recovered. Where a shard does not answer, the others’ figures are shown, ' +
          'the shard is named, and the exit code is 1.',
      ),
    SURVEY_MS,
  )
    .addHelpText(
      'after',
      `
Examples:
  $ shardq queue stats
  $ shardq queue stats backtests --json | jq '.queues[0].counters'`,
    )
    .action((name: string | undefined, flags: QueueFlags) =>
      runAction(flags, (_, output) => queueStats(name, flags, output)),
    )
}

async function queueStats(name: string | undefined, flags: QueueFlags, output: Output): Promise<void> {
  const found = await surveyQueues(flags)
  const queues = found.queues.filter((each) => name === undefined || each.name === name)
  if (name !== undefined && queues.length === 0 && found.error === null) throw new QueueNotFoundError(name)
  // Shards are of all queues together, so of one alone they would be somebody else's figures.
  const shown = { ...found, queues, shards: name === undefined ? found.shards : [] }
  output.document(shown)
  output.lines(renderDepths(shown, output.colors))
  if (queues.length > 0) output.lines(renderCounters(queues))
  if (found.error !== null) process.exitCode = 1
}
