import { readdir, readFile, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { tempDir } from '../helpers/temp-dir.js'
import { alertRules, DEPLOY, type Rule, tool } from './tools.js'

const rules = (await alertRules()).groups.flatMap((group) => group.rules)
const names = rules.map((rule) => rule.alert)
const CASES = await readFile(`${DEPLOY}prometheus/alerts.test.yaml`, 'utf8')

const RUNBOOKS = fileURLToPath(new URL('../../docs/runbooks/', import.meta.url))

interface Cases {
  readonly tests: readonly {
    readonly input_series: readonly { readonly series: string }[]
    readonly promql_expr_test: readonly { readonly exp_samples: readonly { readonly labels: string }[] }[]
  }[]
}
const [healthy, ...others] = (parse(CASES) as Cases).tests

test('Prometheus takes the rules', async () => {
  expect(await tool('promtool', 'check', 'rules', 'prometheus/alerts.yaml')).toMatchObject({ code: 0 })
})

test('each fires when it should, and none on a healthy cluster', async () => {
  const { code, output } = await tool('promtool', 'test', 'rules', 'prometheus/alerts.test.yaml')
  expect(output).toContain('SUCCESS')
  expect(code).toBe(0)
}, 60_000)

test('every alert has a case in which it fires', () => {
  const expected = others.flatMap(({ promql_expr_test }) =>
    promql_expr_test.flatMap(({ exp_samples }) =>
      exp_samples.map(({ labels }) => /alertname="(\w+)"/.exec(labels)?.[1]),
    ),
  )
  expect([...new Set(expected)].sort()).toEqual([...names].sort())
})

test('the healthy cluster has every metric that an alert asks for', () => {
  const given = new Set(healthy?.input_series.map(({ series }) => /^\w+/.exec(series)?.[0]))
  for (const { alert, expr } of rules)
    for (const metric of metricsIn(expr)) expect(given, `${metric} of ${alert}`).toContain(metric)
})

test('the cases notice alerts that never fire', async () => {
  const output = await testedWith((rule) => ({ ...rule, expr: 'vector(0) > 1' }))
  for (const name of names) expect(output).toMatch(new RegExp(`exp: .*alertname="${name}"`))
}, 60_000)

test('the cases notice alerts that always fire', async () => {
  const output = await testedWith((rule) => ({ ...rule, expr: 'vector(1)' }))
  const [first = ''] = output.split('\n').filter((line) => /^\s+got: .*alertname/.test(line))
  for (const name of names) expect(first).toContain(`alertname="${name}"`)
}, 60_000)

test('every alert says how bad it is, what it is, and where to read on', () => {
  for (const { alert, labels, annotations } of rules) {
    expect(['critical', 'warning', 'info'], alert).toContain(labels.severity)
    expect(annotations.summary, alert).toBeTruthy()
    expect(annotations.description, alert).toBeTruthy()
    expect(annotations.runbook, alert).toBe(`docs/runbooks/${alert}.md`)
  }
})

test('there is a runbook for every alert, and for none that there is not', async () => {
  // What is done without an alert has a page too, whose name begins with a small letter.
  const pages = (await readdir(RUNBOOKS)).filter((file) => /^[A-Z]/.test(file) && file !== 'README.md')
  expect(pages.map((file) => basename(file, '.md')).sort()).toEqual([...names].sort())
})

test('a runbook and the index of all give the severity of the rule', async () => {
  const index = await readFile(join(RUNBOOKS, 'README.md'), 'utf8')
  for (const { alert, labels } of rules) {
    const text = await readFile(join(RUNBOOKS, `${alert}.md`), 'utf8')
    expect(text).toContain(`# ${alert}\n\nSeverity: ${labels.severity}.\n`)
    for (const part of ['**You see**', '**It means**', '**Then**']) expect(text, alert).toContain(part)
    expect(index).toContain(`| [${alert}](${alert}.md) | ${labels.severity} |`)
  }
})

test('every page is in the index, and says what is wanted, typed and seen', async () => {
  const index = await readFile(join(RUNBOOKS, 'README.md'), 'utf8')
  for (const file of (await readdir(RUNBOOKS)).filter((each) => /^[a-z]/.test(each))) {
    expect(index).toContain(`(${file})`)
    const text = await readFile(join(RUNBOOKS, file), 'utf8')
    for (const part of ['**You want**', '**Type**', '**Then**']) expect(text, file).toContain(part)
  }
})

/** The metrics that an expression asks for: what stands in it and is neither a function, nor a label, nor a word of the language. */
function metricsIn(expr: string): string[] {
  const bare = expr.replaceAll(/"[^"]*"/g, '').replaceAll(/\{[^}]*\}|\[[^\]]*\]/g, '')
  return [...bare.matchAll(/\b(up|(?:redis|shardq|task_queue)_\w+)\b/g)].map(([name]) => name)
}

/** What promtool says of the cases when every rule is changed. */
async function testedWith(change: (rule: Rule) => Rule): Promise<string> {
  const dir = await tempDir()
  const { groups } = await alertRules()
  const changed = groups.map(({ name, rules: ofGroup }) => ({ name, rules: ofGroup.map(change) }))
  await writeFile(join(dir, 'alerts.yaml'), stringify({ groups: changed }))
  await writeFile(join(dir, 'alerts.test.yaml'), CASES)
  const { code, output } = await tool('promtool', 'test', 'rules', join(dir, 'alerts.test.yaml'))
  expect(code).toBe(1)
  return output
}
