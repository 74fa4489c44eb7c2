import type { Command } from 'commander'
import { CHECKS, type CheckReport, checkCluster } from '../../check/index.js'
import type { Address } from '../../cluster/index.js'
import { whereToLook } from '../../doctor/where.js'
import { wholeNumber } from '../arguments.js'
import { exitCodeOf, renderFindings, renderLookedAt, renderVerdict, wrapped } from '../check-report.js'
import { type CommonOptions, runAction, withCommonOptions } from '../command.js'
import { dataDirOption, nodeOption } from '../node-options.js'
import type { Output } from '../output.js'

interface CheckFlags extends CommonOptions {
  readonly node?: Address
  readonly dataDir?: string
  readonly timeoutMs?: number
  readonly strict?: boolean
}

export function registerClusterCheck(cluster: Command): void {
  withCommonOptions(
    cluster
      .command('check')
      .summary('look at everything that can be wrong, and say what mends it')
      .description(
        'Asks every node of a cluster for everything that can be wrong with it, and says what was seen, why it ' +
          'matters, and the command that mends it. Changes nothing. What is wrong is looked at twice, a second apart, ' +
          'so that what passes by itself is not reported.',
      ),
  )
    .addOption(nodeOption())
    .addOption(dataDirOption())
    .option('--timeout-ms <ms>', 'longest wait for an answer of a node (default: 1000)', wholeNumber(50))
    .option('--strict', 'let warnings count as errors do')
    .addHelpText('after', helpText)
    .action((flags: CheckFlags) => runAction(flags, clusterCheck))
}

function helpText(): string {
  return `
Exit codes:
  0  nothing is wrong, or warnings alone (without --strict)
  1  an error was found; with --strict, a warning; or no cluster could be looked at
  2  wrong usage

Each of these, where it is found, makes it 1:
${namesOf('error')}
Each of these only with --strict:
${namesOf('warning')}
What each of them sees, and what mends it, is told in docs/checks.md.

Examples:
  $ shardq cluster check
  $ shardq cluster check --node 10.0.0.5:7000 --strict
  $ shardq cluster check --json | jq '.findings[] | .check, .mend'`
}

function namesOf(severity: 'error' | 'warning'): string {
  const names = Object.entries(CHECKS).filter(([, check]) => check.severity === severity)
  return wrapped(names.map(([name]) => name).join(', '), 100)
    .map((line) => `  ${line}`)
    .join('\n')
}

async function clusterCheck(flags: CheckFlags, output: Output): Promise<void> {
  const { addresses, access, ground, configError } = await whereToLook(flags)
  if (configError) throw configError
  const report: CheckReport = await checkCluster(addresses, {
    ...access,
    ...(flags.timeoutMs === undefined ? {} : { timeoutMs: flags.timeoutMs }),
    ground: { ...ground, expected: 'cluster' },
  })
  const { colors } = output
  output.document(report)
  output.lines(renderLookedAt(report, colors))
  output.lines(renderFindings(report.findings, colors))
  output.lines(renderVerdict(report, colors, { strict: flags.strict ?? false }))
  process.exitCode = exitCodeOf(report, flags.strict ?? false)
}
