import type { Command } from 'commander'
import { describeFault, type VerifyReport } from '../../queue/verify/report.js'
import { runAction } from '../command.js'
import { count } from '../figures.js'
import { type QueueFlags, withQueue, withQueueOptions } from '../open-queue.js'
import type { Output } from '../output.js'
import { ProgressLine } from '../progress-line.js'

export function registerQueueVerify(queue: Command): void {
  withQueueOptions(
    queue
      .command('verify')
      .argument('<queue>')
      .summary('whether every task is in exactly one place')
      .description(
        'Reads all that is stored for a queue, and proves that every task is in exactly one place: ready, being run, scheduled or ' +
          'dead; and that nothing else is stored. Changes nothing, and goes in small steps, so that the queue may be in use.',
      ),
  )
    .addHelpText(
      'after',
      `
Exits with 1 when something is wrong.

Examples:
  $ shardq queue verify backtests
  $ shardq queue verify backtests --json | jq '.faults[] | [.partition, .kind, .count]'`,
    )
    .action((name: string, flags: QueueFlags) =>
      runAction(flags, (_, output, signal) => queueVerify(name, flags, output, signal)),
    )
}

async function queueVerify(
  name: string,
  flags: QueueFlags,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const line = new ProgressLine(output)
  const report = await withQueue(flags, name, (queue) =>
    queue
      .verify({
        signal,
        onProgress: ({ partition, partitions, tasks }) =>
          line.show(`partition ${partition + 1} of ${partitions}, ${count(tasks)} tasks`),
      })
      .finally(() => line.clear()),
  )
  output.document(report)
  for (const text of describeVerified(report)) {
    const paint = text.startsWith('✗') ? output.colors.red : (plain: string) => plain
    output.line(paint(text))
  }
  if (report.faults.length > 0) process.exitCode = 1
}

/** What a report says, in lines. */
export function describeVerified(report: VerifyReport): string[] {
  const { queue, partitions, tasks, namesWithoutRecord, busy, faults, unsettled, clean } = report
  const lines = clean
    ? [`✓ structure: clean; ${count(tasks)} tasks of ${queue} in ${partitions} partitions`]
    : [`${count(tasks)} tasks of ${queue} in ${partitions} partitions`]
  for (const fault of faults) lines.push(`✗ ${describeFault(fault)}`)
  for (const fault of unsettled)
    lines.push(`? could not be settled while the queue is busy: ${describeFault(fault)}`)
  if (namesWithoutRecord > 0)
    lines.push(
      `${count(namesWithoutRecord)} names of tasks that were removed; each is dropped when its turn comes`,
    )
  if (busy > 0)
    lines.push(
      `${busy} partitions never stood still, so that their counters were not compared; once more when it is quiet`,
    )
  return lines
}
