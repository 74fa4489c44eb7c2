import { type Command, InvalidArgumentError } from 'commander'
import { type Address, InterruptedError, nameOf, planRebalance } from '../../cluster/index.js'
import { agree } from '../agree.js'
import { hostPort, wholeNumber } from '../arguments.js'
import { printPlan, printRebalanced, progressLine } from '../balance-report.js'
import { type CommonOptions, runAction, withCommonOptions } from '../command.js'
import { findNodes, seedsOf } from '../find-nodes.js'
import {
  type BigKeyFlags,
  bigKeyMbOption,
  bigKeysOf,
  bigKeysOption,
  leaveUnprotectedOption,
  type UnprotectedFlag,
  unprotectedOf,
} from '../moving-options.js'
import { dataDirOption, nodeOption } from '../node-options.js'
import type { Output } from '../output.js'
import { ProgressLine } from '../progress-line.js'

interface RebalanceFlags extends CommonOptions, BigKeyFlags, UnprotectedFlag {
  readonly node?: Address
  readonly dataDir?: string
  readonly weight?: Readonly<Record<string, number>>
  readonly dryRun?: boolean
  readonly yes?: boolean
  readonly waitMs?: number
}

export function registerClusterRebalance(cluster: Command): void {
  withCommonOptions(
    cluster
      .command('rebalance')
      .summary('share the slots out among the masters, while they serve')
      .description(
        'Gives every master its share of the slots, and of the partitions of every queue, with as few moves as that takes. ' +
          'Shows the plan and asks. Queues run on meanwhile. May be stopped at any moment, or killed: the same command goes on.',
      ),
  )
    .addOption(nodeOption())
    .addOption(dataDirOption())
    .option(
      '--weight <host:port=n>',
      'share of a master in proportion to the others, which have 1; 0 empties it; may be repeated',
      weight,
    )
    .option('--dry-run', 'show the plan, change nothing')
    .option('--yes', 'do not ask')
    .addOption(bigKeysOption())
    .addOption(bigKeyMbOption())
    .addOption(leaveUnprotectedOption())
    .option(
      '--wait-ms <ms>',
      'longest wait for masters to answer and nodes to agree (default: 20000)',
      wholeNumber(0),
    )
    .addHelpText(
      'after',
      `
Exit codes: 0 balanced; 1 stopped, or some slot could not be moved, or a node has not
got back a setting, and it says why and what to type; 2 wrong usage.
Ctrl-C ends it after the slots, or the hundred keys, under way. A slot that is half way then is named; the same command goes on.

Examples:
  $ shardq cluster rebalance --dry-run
  $ shardq cluster rebalance
  $ shardq cluster rebalance --weight 127.0.0.1:7000=2         twice as much as each of the others
  $ shardq cluster rebalance --weight 127.0.0.1:7004=0 --yes   nothing at all
  $ shardq cluster rebalance --yes --json | jq .shares`,
    )
    .action((flags: RebalanceFlags) => runAction(flags, clusterRebalance))
}

function weight(text: string, before: Readonly<Record<string, number>> = {}): Record<string, number> {
  const [, node = '', number = ''] = /^(.+)=(\d+(?:\.\d+)?)$/.exec(text) ?? []
  if (number === '') throw new InvalidArgumentError('expected HOST:PORT=NUMBER, such as 127.0.0.1:7000=2')
  return { ...before, [nameOf(hostPort(node))]: Number(number) }
}

async function clusterRebalance(flags: RebalanceFlags, output: Output, signal: AbortSignal): Promise<void> {
  const { seeds, access } = seedsOf(await findNodes(flags))
  const { weight, waitMs } = flags
  const line = new ProgressLine(output, true)
  const plan = await planRebalance(seeds, {
    ...access,
    signal,
    onProgress: (progress) => line.show(progressLine(progress), progress.state !== 'moving'),
    ...(weight === undefined ? {} : { weights: weight }),
    ...bigKeysOf(flags),
    ...unprotectedOf(flags),
    ...(waitMs === undefined ? {} : { agreeMs: waitMs }),
  })
  if (signal.aborted) throw new InterruptedError('the look')
  const { run, ...shown } = plan
  printPlan(plan, output)
  if (flags.dryRun || (plan.slots === 0 && plan.mends.length === 0)) {
    output.document(shown)
    if (plan.slots === 0) output.line(output.colors.green('✅ balanced already; nothing to move'))
    return
  }
  await agree(
    flags,
    { what: 'the rebalance', why: 'a rebalance moves keys and slots of running servers' },
    output,
    signal,
  )
  output.line()
  const report = await run({ evenIfChanged: flags.yes ?? false }).finally(() => line.keep())
  printRebalanced(report, output)
  output.document({ ...shown, ...report })
  process.exitCode = report.interrupted || report.left.length > 0 ? 1 : 0
}
