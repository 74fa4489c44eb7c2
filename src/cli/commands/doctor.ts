import type { Command } from 'commander'
import type { Colors } from 'picocolors/types.js'
import type { Address } from '../../cluster/index.js'
import { type DoctorReport, diagnose, type Explanation } from '../../doctor/index.js'
import { InvalidOptionError } from '../../errors.js'
import { PlainTable } from '../../plain-table.js'
import { wholeNumber } from '../arguments.js'
import { exitCodeOf, renderFindings, renderLookedAt, renderVerdict, wrapped } from '../check-report.js'
import { type CommonOptions, runAction, withCommonOptions } from '../command.js'
import { dataDirOption, nodeOption } from '../node-options.js'
import type { Output } from '../output.js'

interface DoctorFlags extends CommonOptions {
  readonly error?: string
  readonly node?: Address
  readonly dataDir?: string
  readonly timeoutMs?: number
}

export function registerDoctor(program: Command): void {
  withCommonOptions(
    program
      .command('doctor')
      .argument('[error...]', 'an error message, as it was met; best in quotes')
      // A server's own words begin with a minus: -READONLY You can't write ...
      .allowUnknownOption()
      .summary('say what is wrong, why it matters, and what mends it')
      .description(
        'Begins with what there is (a configuration, an address, an error message, or nothing) and goes on until it ' +
          'knows: is the configuration valid, does anything answer, is it a cluster, and what do all checks say. ' +
          'Changes nothing.',
      ),
  )
    .option('--error <text>', 'the error message, in place of the argument')
    .addOption(nodeOption('a node to look at'))
    .addOption(dataDirOption())
    .option('--timeout-ms <ms>', 'longest wait for an answer of a node (default: 1000)', wholeNumber(50))
    .addHelpText(
      'after',
      `
Exit codes: 0 no error was found, 1 one was, 2 wrong usage. An error message that is explained changes none of these.

Examples:
  $ shardq doctor
  $ shardq doctor --node 10.0.0.5:7000
  $ shardq doctor "(error) CLUSTERDOWN The cluster is down"
  $ shardq doctor "Could not connect to Redis at 127.0.0.1:7000: Connection refused"
  $ shardq doctor --json | jq '.findings[].check'`,
    )
    .action((words: readonly string[], flags: DoctorFlags) =>
      runAction(words.length === 0 ? flags : { ...flags, error: messageOf(words) }, doctor),
    )
}

/** What is no message but an option that was mistyped stays wrong usage. @throws InvalidOptionError */
function messageOf(words: readonly string[]): string {
  const unknown = words.find((word) => word.startsWith('-') && !/^-[A-Z]/.test(word))
  if (unknown !== undefined && !/\s/.test(unknown))
    throw new InvalidOptionError(
      unknown,
      'is no option of doctor; if it belongs to the message, put that in quotes',
    )
  return words.join(' ')
}

async function doctor(flags: DoctorFlags, output: Output): Promise<void> {
  const report = await diagnose(flags)
  output.document(report)
  if (!output.json) print(report, flags.error !== undefined, output)
  process.exitCode = exitCodeOf(report, false)
}

function print(report: DoctorReport, asked: boolean, output: Output): void {
  const { colors } = output
  const { explanations, findings, steps } = report
  for (const explanation of explanations) output.lines(renderExplanation(explanation, colors))
  if (asked && explanations.length === 0) output.line('This is not an error that I know.')
  const table = new PlainTable(['', 'looked at', 'seen'])
  for (const { step, ok, seen } of steps) table.push([ok ? colors.green('✓') : colors.red('✗'), step, seen])
  output.lines(table.lines())
  output.lines(renderLookedAt(report, colors))

  const causes = new Set(explanations.flatMap(({ checks }) => checks))
  const behind = findings.filter(({ check }) => causes.has(check))
  const besides = findings.filter(({ check }) => !causes.has(check))
  if (causes.size > 0) {
    const none = 'Nothing of what mostly causes it is to be seen at the moment.'
    output.line(colors.bold(behind.length === 0 ? none : 'What is probably behind it:'))
  }
  if (behind.length > 0) output.lines(renderFindings(behind, colors))
  if (behind.length > 0 && besides.length > 0) output.line(colors.bold('Besides:'))
  if (besides.length > 0) output.lines(renderFindings(besides, colors))
  output.lines(renderVerdict(report, colors))
}

function renderExplanation({ symptom, guide, means, why, mend }: Explanation, colors: Colors): string[] {
  const title = guide === null ? symptom : `${symptom} (the guide’s ${guide})`
  const table = new PlainTable([title])
  const commands = mend.map((command) => colors.cyan(`$ ${command}`))
  table.push([[...wrapped(means).map(colors.bold), ...wrapped(why).map(colors.dim), ...commands]])
  return table.lines()
}
