import { expect, it } from 'vitest'
import { withTable } from '../../scripts/checks-table.js'
import { SOME_NODE } from '../../src/check/scene.js'
import { CHECK_NAMES, CHECKS } from '../../src/check/table.js'
import { SYMPTOMS } from '../../src/doctor/symptoms/index.js'
import { expectCommand } from './command-lines.js'
import { page } from './markdown.js'

it('docs/checks.md has the table as it is in the code; if not: npm run checks:table', async () => {
  const text = await page('docs/checks.md')
  expect(text).toBe(withTable(text))
  for (const name of CHECK_NAMES) expect(text).toContain(`| \`${name}\` | ${CHECKS[name].severity} |`)
})

/** Programs that the advice may name. */
const PROGRAMS =
  /^(shardq|redis-cli|redis-server|redis-check-rdb|redis-check-aof|ls|systemctl|sudo|ssh|kill|nc|ss|df|du|getent|ip|echo|printf|export|date|openssl) /

it.each([
  ...CHECK_NAMES.flatMap((name) => CHECKS[name].mend([SOME_NODE]).map((command) => [name, command])),
  ...Object.entries(SYMPTOMS).flatMap(([name, { mend }]) => mend.map((command) => [name, command])),
])('%s advises what there is: %s', (_, command = '') => {
  expect(`${command} `).toMatch(PROGRAMS)
  const [, line] = /^shardq (.*)/.exec(command) ?? []
  if (line !== undefined) expectCommand(line)
})
