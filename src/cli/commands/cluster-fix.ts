import type { Command } from 'commander'
import {
  type Address,
  commandsOf,
  DataDirError,
  describeStep,
  type FixPlan,
  type FixProgress,
  type FixReport,
  type ForgottenNode,
  InterruptedError,
  type Left,
  leaveOutForgotten,
  planFix,
} from '../../cluster/index.js'
import { agree } from '../agree.js'
import { collect, wholeNumber } from '../arguments.js'
import { type CommonOptions, runAction, withCommonOptions } from '../command.js'
import { isLocal } from '../find-local.js'
import { findNodes, seedsOf } from '../find-nodes.js'
import { dataStays, printLeft } from '../left-report.js'
import { type BigKeyFlags, bigKeyMbOption, bigKeysOf, bigKeysOption } from '../moving-options.js'
import { dataDirOption, nodeOption } from '../node-options.js'
import type { Output } from '../output.js'

interface FixFlags extends CommonOptions, BigKeyFlags {
  readonly node?: Address
  readonly dataDir?: string
  readonly dryRun?: boolean
  readonly yes?: boolean
  readonly forget?: readonly string[]
  readonly bringHome?: boolean
  readonly waitMs?: number
}

/** A plan may have thousands of steps that say the same of other slots. */
const MOST_SHOWN = 40

export function registerClusterFix(cluster: Command): void {
  withCommonOptions(
    cluster
      .command('fix')
      .summary('mend open slots, slots without an owner, and keys on the wrong node')
      .description(
        'Looks at every node, shows what is wrong and what it would do, in order and with the commands, and asks. Mends ' +
          'what a broken move of slots leaves: open slots, slots without an owner, keys on a node that does not own their ' +
          'slot. Nothing is ever written over, and what would be a guess is left, named, and said what to do about.',
      ),
  )
    .addOption(nodeOption())
    .addOption(dataDirOption())
    .option('--dry-run', 'show the plan, change nothing')
    .option('--yes', 'do not ask')
    .option('--forget <node>', 'a node that is gone for good, by id or host:port; may be repeated', collect)
    .option('--bring-home', 'also move keys to the owner of their slot that it may have deleted since')
    .addOption(bigKeysOption())
    .addOption(bigKeyMbOption())
    .option(
      '--wait-ms <ms>',
      'longest wait for views that differ to become one (default: 10000)',
      wholeNumber(0),
    )
    .addHelpText(
      'after',
      `
Exit codes: 0 mended, or nothing to mend; 1 something is left, and it says what, why, and what to type; 2 wrong usage.
Ctrl-C ends it after the step, or the hundred keys, under way; it may be run again at any time, also after a crash.

Examples:
  $ shardq cluster fix --dry-run
  $ shardq cluster fix
  $ shardq cluster fix --node 10.0.0.5:7000 --yes --json | jq .left
  $ shardq cluster fix --forget 10.0.0.9:7000`,
    )
    .action((flags: FixFlags) => runAction(flags, clusterFix))
}

async function clusterFix(flags: FixFlags, output: Output, signal: AbortSignal): Promise<void> {
  const { seeds, access } = seedsOf(await findNodes(flags))
  const { forget, bringHome, waitMs } = flags
  const plan = await planFix(seeds, {
    ...access,
    signal,
    onProgress: (progress) => printProgress(progress, output),
    onUnlocked: ({ message }) => output.line(`${output.colors.red('!')} going on without a lock: ${message}`),
    ...(forget === undefined ? {} : { forget }),
    ...(bringHome === undefined ? {} : { bringHome }),
    ...bigKeysOf(flags),
    ...(waitMs === undefined ? {} : { agreeMs: waitMs }),
  })
  if (signal.aborted) throw new InterruptedError('the look')
  const { steps, left } = plan
  printPlan(plan, output)
  if (flags.dryRun || steps.length === 0) {
    const settled = await settleFolder(flags, output)
    const stays = [...left, ...settled.unsettled]
    printLeft(settled.unsettled, output)
    output.document({
      steps: steps.map(stepDocument),
      left: stays,
      done: [],
      forgotten: settled.forgotten,
    })
    process.exitCode = stays.length === 0 ? 0 : 1
    return
  }
  await agree(
    flags,
    { what: 'the repair', why: 'a repair moves keys and slots of running servers' },
    output,
    signal,
  )
  output.line()
  const report = await plan.run({ evenIfChanged: flags.yes ?? false })
  const { forgotten, unsettled } = await settleFolder(flags, output)
  const remaining = [...report.left, ...unsettled]
  printReport({ ...report, left: remaining }, output)
  output.document({
    steps: steps.map(stepDocument),
    ...report,
    left: remaining,
    done: report.done.map(stepDocument),
    forgotten,
  })
  process.exitCode = remaining.length === 0 ? 0 : 1
}

/** Nodes of a data folder that were forgotten, now or by a `fix` that was killed, are not to be started with it any more. */
async function settleFolder(
  flags: FixFlags,
  output: Output,
): Promise<{ readonly forgotten: readonly ForgottenNode[]; readonly unsettled: readonly Left[] }> {
  if (flags.dryRun || !(await isLocal(flags))) return { forgotten: [], unsettled: [] }
  try {
    const forgotten = await leaveOutForgotten(flags.dataDir)
    for (const node of forgotten)
      output.line(`node ${node.port} is no node of the data folder any more${dataStays(node)}`)
    return { forgotten, unsettled: [] }
  } catch (error) {
    if (!(error instanceof DataDirError)) throw error
    const what = 'nodes of the data folder that were forgotten, and which `up` would start again'
    const left = { what, why: error.message, remedy: 'shardq cluster fix' }
    return { forgotten: [], unsettled: [left] }
  }
}

const stepDocument = (step: FixPlan['steps'][number]) => ({
  ...step,
  what: describeStep(step),
  commands: commandsOf(step),
})

function printPlan({ steps, left }: FixPlan, output: Output): void {
  if (steps.length === 0) {
    output.line(
      left.length === 0 ? output.colors.green('✅ nothing to mend') : 'nothing that can be mended from here',
    )
  } else {
    output.title(`${steps.length === 1 ? '1 thing' : `${steps.length} things`} to mend`)
  }
  for (const [index, step] of steps.slice(0, MOST_SHOWN).entries()) {
    output.line(`  ${index + 1}. ${describeStep(step)}`)
    for (const command of commandsOf(step)) output.line(output.colors.dim(`       ${command}`))
  }
  if (steps.length > MOST_SHOWN)
    output.line(`  ... and ${steps.length - MOST_SHOWN} more of these kinds; all of them: --dry-run --json`)
  printLeft(left, output)
}

function printProgress(progress: FixProgress, output: Output): void {
  const { step, state } = progress
  if (state === 'done') output.line(`${output.colors.green('✓')} ${describeStep(step)}`)
  if (state === 'left') output.line(`${output.colors.red('✗')} ${describeStep(step)}: ${progress.why}`)
  if (state === 'moving') output.line(`    ${progress.moved} keys moved`)
}

function printReport({ left, interrupted, agreed, openSlots }: FixReport, output: Output): void {
  output.line()
  output.line(`views ${agreed ? 'agree' : 'differ'}   open slots ${openSlots}`)
  if (interrupted) output.line('stopped; what was done stays done')
  printLeft(left, output)
  output.line(
    left.length === 0
      ? output.colors.green('✅ mended')
      : output.colors.red(`❌ ${left.length} left as it was`),
  )
}
