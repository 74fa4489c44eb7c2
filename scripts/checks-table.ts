/** `npm run checks:table`: writes the table of all checks into docs/checks.md. A test finds out when that is forgotten. */
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import type { Check } from '../src/check/check.js'
import { SOME_NODE } from '../src/check/scene.js'
import { THEMES } from '../src/check/table.js'

const PAGE = new URL('../docs/checks.md', import.meta.url)
const BEGIN = '<!-- table: npm run checks:table -->'
const END = '<!-- end -->'

/** The page with the table as it has to be. */
export function withTable(page: string): string {
  const [before = '', rest = ''] = page.split(BEGIN)
  return [before, BEGIN, '\n\n', ...Object.entries(THEMES).map(section), END, rest.split(END)[1]].join('')
}

function section([theme, checks]: [string, Readonly<Record<string, Check>>]): string {
  const rows = Object.entries(checks).map(([name, { severity, about, mend }]) => {
    const commands = mend([SOME_NODE]).map((command) => `\`${command.replaceAll('|', '\\|')}\``)
    return `| \`${name}\` | ${severity} | ${about} | ${commands.join('<br>')} |`
  })
  const title = theme.charAt(0).toUpperCase() + theme.slice(1)
  return [
    `### ${title}`,
    '',
    '| check | | what is seen | what mends it |',
    '|---|---|---|---|',
    ...rows,
    '',
    '',
  ].join('\n')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await writeFile(PAGE, withTable(await readFile(PAGE, 'utf8')))
}
