import type { Colors } from 'picocolors/types.js'
import { type CheckReport, type Finding, THEMES } from '../check/index.js'
import { shortened } from '../colours.js'
import { PlainTable } from '../plain-table.js'

/** Prose is broken here; commands never are, for they are copied. */
const WIDTH = 92

/** What was found, worst first, each with why it matters and what to type; nothing where nothing was found. */
export function renderFindings(findings: readonly Finding[], colors: Colors): string[] {
  if (findings.length === 0) return []
  const table = new PlainTable(['', 'check', 'what was seen, why it matters, and what mends it'], {
    compact: false,
  })
  for (const { check, severity, seen, why, mend } of findings) {
    const mark = severity === 'error' ? colors.red('✗ error') : colors.yellow('! warning')
    const commands = mend.map((command) => colors.cyan(`$ ${command}`))
    table.push([
      mark,
      check,
      [...wrapped(seen).map(colors.bold), ...wrapped(why).map(colors.dim), ...commands],
    ])
  }
  return table.lines()
}

/** What was looked at, by theme, and in how much of it something was found. */
export function renderLookedAt({ checks, findings, nodes }: CheckReport, colors: Colors): string[] {
  const answering = nodes.filter((node) => node.answers).length
  const table = new PlainTable([`looked at on ${answering} of ${nodes.length} nodes`, 'checks', 'found'])
  for (const [theme, of] of Object.entries(THEMES)) {
    const names = Object.keys(of).filter((name) => checks.includes(name))
    const found = findings.filter(({ check }) => names.includes(check)).length
    const nothing = names.length === 0 ? colors.dim('no node to look at') : colors.green('nothing')
    table.push([theme, names.length, found === 0 ? nothing : colors.red(String(found))])
  }
  return table.lines()
}

export function renderVerdict(
  { findings, notes }: CheckReport,
  colors: Colors,
  { strict = false }: { strict?: boolean } = {},
): string[] {
  const errors = findings.filter(({ severity }) => severity === 'error').length
  const warnings = findings.length - errors
  const counts = [
    ...(errors > 0 ? [`${errors} error${errors === 1 ? '' : 's'}`] : []),
    ...(warnings > 0 ? [`${warnings} warning${warnings === 1 ? '' : 's'}`] : []),
  ].join(', ')
  const verdict =
    errors > 0
      ? colors.red(`❌ ${counts}`)
      : warnings === 0
        ? colors.green('✅ Nothing is wrong.')
        : colors.yellow(
            `⚠️  ${counts}, no error: exit code ${strict ? '1, by --strict' : '0; with --strict it is 1'}`,
          )
  const needsPassword = findings.some(({ mend }) => mend.some((command) => command.includes('redis-cli')))
  return [
    ...notes.map((note) => colors.dim(`Note: ${note}`)),
    ...(needsPassword
      ? [
          colors.dim(
            'Note: redis-cli takes a password from REDISCLI_AUTH; on a command line it could be seen',
          ),
        ]
      : []),
    verdict,
  ]
}

/** 1 where an error was found, or with `strict` anything. */
export const exitCodeOf = ({ ok, findings }: CheckReport, strict: boolean): number =>
  ok && !(strict && findings.length > 0) ? 0 : 1

/** How a command to be typed begins, with any kind of blank. */
const COMMAND = /^([\s\u2800]*)\$(?=[\s\u2800]|$)/u

/** Breaks at spaces. What a server has said may be broken so that a line of it looks like a command of ours: there the `$` is escaped. */
export function wrapped(text: string, width = WIDTH): string[] {
  const lines: string[] = []
  for (const whole of text.split(' ')) {
    const word = shortened(whole)
    const last = lines.at(-1)
    if (last === undefined || last.length + 1 + word.length > width) lines.push(word)
    else lines[lines.length - 1] = `${last} ${word}`
  }
  return lines.map((line) => line.replace(COMMAND, '$1\\$$'))
}
