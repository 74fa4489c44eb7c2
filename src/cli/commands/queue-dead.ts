import type { Command } from 'commander'
import { InvalidOptionError } from '../../errors.js'
import { lastArgument, shellWord } from '../../shell.js'
import { agree } from '../agree.js'
import { wholeNumber } from '../arguments.js'
import { runAction } from '../command.js'
import { type QueueFlags, withQueue, withQueueOptions } from '../open-queue.js'
import type { Output } from '../output.js'
import { renderDead } from '../queue-report.js'

interface ListFlags extends QueueFlags {
  readonly limit?: number
  readonly cursor?: string
}

interface RetryFlags extends QueueFlags {
  readonly all?: boolean
  readonly type?: string
}

interface PurgeFlags extends QueueFlags {
  readonly yes?: boolean
}

export function registerQueueDead(queue: Command): void {
  const dead = queue.command('dead').description('tasks that have used up their attempts')
  registerList(dead)
  registerRetry(dead)
  registerPurge(dead)
}

function registerList(dead: Command): void {
  withQueueOptions(
    dead
      .command('list')
      .argument('<queue>')
      .description('Shows dead tasks, the latest first, and what they died of.'),
  )
    .option('--limit <n>', 'most tasks, at most 1000 (default: 50)', wholeNumber(1))
    .option('--cursor <cursor>', 'go on where an earlier list ended')
    .addHelpText(
      'after',
      `
Examples:
  $ shardq queue dead list backtests
  $ shardq queue dead list backtests --json | jq '.items[] | [.id, .error.message]'`,
    )
    .action((name: string, flags: ListFlags) =>
      runAction(flags, (_, output) => deadList(name, flags, output)),
    )
}

async function deadList(name: string, flags: ListFlags, output: Output): Promise<void> {
  const { limit, cursor } = flags
  const page = await withQueue(flags, name, ({ deadLetters }) =>
    deadLetters.list({
      ...(limit === undefined ? {} : { limit }),
      ...(cursor === undefined ? {} : { cursor }),
    }),
  )
  output.document({ queue: name, ...page })
  if (page.items.length === 0) output.line('no dead tasks')
  else output.cutLines(renderDead(page.items, Date.now()))
  if (page.cursor !== null)
    output.line(
      `there are more: shardq queue dead list --cursor ${shellWord(page.cursor)} ${lastArgument(name)}`,
    )
}

function registerRetry(dead: Command): void {
  withQueueOptions(
    dead
      .command('retry')
      .argument('<queue>')
      .argument('[ids...]', 'of the tasks')
      .description('Makes dead tasks ready again, with all their attempts.'),
  )
    .option('--all', 'every dead task')
    .option('--type <type>', 'every dead task of this type')
    .addHelpText(
      'after',
      `
Exits with 1 when one of the ids is not that of a dead task.

Examples:
  $ shardq queue dead retry backtests 3.k2j8d.1f
  $ shardq queue dead retry backtests --type cleanup
  $ shardq queue dead retry backtests --all`,
    )
    .action((name: string, ids: readonly string[], flags: RetryFlags) =>
      runAction(flags, (_, output) => deadRetry(name, ids, flags, output)),
    )
}

async function deadRetry(
  name: string,
  ids: readonly string[],
  { all, type, ...flags }: RetryFlags,
  output: Output,
): Promise<void> {
  const ways = [ids.length > 0, all === true, type !== undefined].filter(Boolean).length
  if (ways !== 1) throw new InvalidOptionError('ids', 'name the tasks, or give --type, or --all')
  const missing: string[] = []
  const retried = await withQueue(flags, name, async ({ deadLetters }) => {
    if (ids.length === 0) return deadLetters.retryAll(type === undefined ? {} : { type })
    let count = 0
    for (const id of ids) {
      if (await deadLetters.retry(id)) count++
      else missing.push(id)
    }
    return count
  })
  output.document({ queue: name, retried, missing })
  output.line(`${retried === 1 ? '1 task is' : `${retried} tasks are`} ready again`)
  for (const id of missing) output.line(output.colors.red(`✗ ${id} is no dead task of ${name}`))
  if (missing.length > 0) process.exitCode = 1
}

function registerPurge(dead: Command): void {
  withQueueOptions(
    dead
      .command('purge')
      .argument('<queue>')
      .description('Removes every dead task for good. Says how many there are, and asks.'),
  )
    .option('--yes', 'do not ask')
    .addHelpText(
      'after',
      `
Examples:
  $ shardq queue dead purge backtests
  $ shardq queue dead purge backtests --yes --json | jq .removed`,
    )
    .action((name: string, flags: PurgeFlags) =>
      runAction(flags, (_, output, signal) => deadPurge(name, flags, output, signal)),
    )
}

async function deadPurge(
  name: string,
  flags: PurgeFlags,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const removed = await withQueue(flags, name, async (queue) => {
    const { dead } = await queue.depth()
    output.line(`${dead === 1 ? '1 dead task' : `${dead} dead tasks`} in ${name}`)
    if (dead === 0) return 0
    await agree(flags, { what: 'the purge', why: 'what is purged cannot be brought back' }, output, signal)
    return queue.deadLetters.purge()
  })
  output.document({ queue: name, removed })
  output.line(`${removed} removed`)
}
