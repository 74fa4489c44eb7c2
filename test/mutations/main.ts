/** `npm run mutations`: see scripts/mutations.mjs. */
import { spawn } from 'node:child_process'
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Mutation, type Notice, PatchError, patched } from './mutation.js'
import { MUTATIONS } from './table.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const COPIED = ['src', 'test', 'scripts', 'package.json', 'package-lock.json', 'tsconfig.json', 'LICENSE']
const CONFIGS = ['vitest.config.ts', 'vitest.mutations.config.ts']
const BUDGET_MS = 60_000
/** Until a run that neither ends nor fails is ended. */
const PATIENCE_MS = 240_000
/** The same for the run of all tests that are named. */
const LONG_PATIENCE_MS = 900_000
const DOCS = join(ROOT, 'docs/mutations.md')

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string' },
    list: { type: 'boolean', default: false },
    docs: { type: 'boolean', default: true },
  },
  allowNegative: true,
})

const say = (text: string) => void process.stdout.write(`${text}\n`)

type Outcome =
  | { readonly kind: 'noticed'; readonly by: string; readonly ms: number }
  | { readonly kind: 'missed' | 'broken'; readonly why: string; readonly ms: number }

interface Row {
  readonly mutation: Mutation
  readonly outcome: Outcome
}

function chosen(): readonly Mutation[] {
  const names = flags.only?.split(',')
  const unknown = names?.filter((name) => !MUTATIONS.some((each) => each.name === name)) ?? []
  if (unknown.length > 0) throw new Error(`no such mutation: ${unknown.join(', ')}; see --list`)
  return MUTATIONS.filter(({ name }) => names?.includes(name) ?? true)
}

/** A copy of the project that can be harmed; packages are those of the project. */
async function makeCopy(): Promise<string> {
  const copy = await mkdtemp(join(tmpdir(), 'shardq-mutations-'))
  for (const name of [...COPIED, ...CONFIGS])
    await cp(join(ROOT, name), join(copy, name), { recursive: true })
  await symlink(join(ROOT, 'node_modules'), join(copy, 'node_modules'))
  return copy
}

interface Ended {
  readonly code: number | null
  readonly output: string
  readonly ms: number
}

function run(copy: string, args: readonly string[], patienceMs: number): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const startedMs = performance.now()
    const child = spawn(process.execPath, args, { cwd: copy, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    // The last of it is enough.
    const keep = (text: Buffer) => {
      output = (output + text.toString()).slice(-50_000)
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    const timer = setTimeout(() => child.kill('SIGKILL'), patienceMs)
    child.once('error', reject)
    child.once('close', (code) => {
      clearTimeout(timer)
      resolve({ code, output, ms: performance.now() - startedMs })
    })
  })
}

interface TestResults {
  readonly numPassedTests: number
  readonly numFailedTests: number
  readonly startTime: number
  readonly testResults: readonly {
    readonly endTime: number
    readonly name: string
    readonly assertionResults: readonly {
      readonly status: string
      readonly title: string
      readonly fullName: string
    }[]
  }[]
}

/** @param bail after how many failures it ends; 0: never */
async function runTests(
  copy: string,
  { files, only }: { readonly files: readonly string[]; readonly only?: string | undefined },
  { bail, patienceMs }: { readonly bail: number; readonly patienceMs: number },
): Promise<Ended & { results: TestResults | undefined }> {
  const report = join(copy, 'results.json')
  await rm(report, { force: true })
  const args = [
    'node_modules/vitest/vitest.mjs',
    ...['run', '--config', 'vitest.mutations.config.ts', '--reporter=json', `--outputFile=${report}`],
    ...(only === undefined ? [] : ['-t', only]),
    ...[`--bail=${bail}`, ...files],
  ]
  const ended = await run(copy, args, patienceMs)
  const text = await readFile(report, 'utf8').catch(() => undefined)
  return { ...ended, results: text === undefined ? undefined : (JSON.parse(text) as TestResults) }
}

/** Whether what must notice is content, and what it says if not. */
async function ask(
  copy: string,
  notice: Notice,
): Promise<{ ok: boolean; by: string; ran: boolean; ms: number }> {
  if ('storm' in notice) {
    const { code, output, ms } = await run(copy, ['scripts/chaos.mjs', ...notice.storm], PATIENCE_MS)
    const says = output.split('\n').find((line) => notice.as.test(line))
    return {
      ok: code === 0,
      by: `storm: ${says?.trim() ?? 'something else'}`,
      ran: code === 0 || says !== undefined,
      ms,
    }
  }
  const {
    code,
    results,
    output,
    ms: wholeMs,
  } = await runTests(copy, notice, {
    bail: 1,
    patienceMs: PATIENCE_MS,
  })
  // A process that was brought down, or stands still, has no report.
  if (!results) return { ok: false, by: output.trim().split('\n').at(-1) ?? '', ran: false, ms: wholeMs }
  const failed = results.testResults
    .flatMap((file) => file.assertionResults)
    .find(({ status }) => status === 'failed')
  const endMs = Math.max(...results.testResults.map(({ endTime }) => endTime))
  return {
    ok: code === 0 && results.numFailedTests === 0 && results.numPassedTests > 0,
    // A promise that rejects, and that nobody looks at, fails no test, and ends the run with 1.
    by: failed?.title ?? 'an error that nobody handles',
    ran: results.numPassedTests + results.numFailedTests > 0,
    ms: endMs - results.startTime,
  }
}

/** What must notice, and is content with the project as it is: a test that always fails notices nothing. */
async function contentOf(copy: string, mutations: readonly Mutation[]): Promise<ReadonlySet<Notice>> {
  const notices = mutations.map(({ noticedBy }) => noticedBy)
  const content = new Set<Notice>()
  const tests = notices.filter((notice) => 'files' in notice)
  // All of them in as few runs as there are kinds: to begin one costs more than most tests.
  const kinds = [
    tests.filter(({ only }) => only !== undefined),
    tests.filter(({ only }) => only === undefined),
  ].filter((kind) => kind.length > 0)
  for (const kind of kinds) {
    const files = [...new Set(kind.flatMap((notice) => notice.files))]
    const only = kind.flatMap((notice) => notice.only ?? []).join('|')
    const { code, results } = await runTests(
      copy,
      { files, only: only === '' ? undefined : only },
      { bail: 0, patienceMs: LONG_PATIENCE_MS },
    )
    // Of an error that nobody handles it is not known whose it is.
    if (code !== 0 && results?.numFailedTests === 0) continue
    for (const notice of kind) {
      const pattern = new RegExp(notice.only ?? '')
      const statuses = (results?.testResults ?? [])
        .filter(({ name }) => notice.files.some((file) => name.endsWith(`/${file}`)))
        .flatMap(({ assertionResults }) => assertionResults)
        .filter(({ fullName }) => pattern.test(fullName))
        .map(({ status }) => status)
      if (statuses.includes('passed') && !statuses.includes('failed')) content.add(notice)
    }
  }
  for (const notice of notices) if ('storm' in notice && (await ask(copy, notice)).ok) content.add(notice)
  return content
}

async function attempt(copy: string, mutation: Mutation, content: ReadonlySet<Notice>): Promise<Outcome> {
  const { patches, noticedBy, budgetMs = BUDGET_MS } = mutation
  const files = [...new Set(patches.map(({ file }) => file))]
  const before = new Map<string, string>()
  for (const file of files) before.set(file, await readFile(join(copy, file), 'utf8'))
  const after = new Map(before)
  for (const patch of patches) after.set(patch.file, patched(after.get(patch.file) ?? '', patch))
  if (!content.has(noticedBy))
    return { kind: 'broken', why: 'the tests fail with the protection, too', ms: 0 }
  try {
    for (const [file, text] of after) await writeFile(join(copy, file), text)
    const { ok, by, ran, ms } = await ask(copy, noticedBy)
    if (ok) return { kind: 'missed', why: 'nothing has noticed', ms }
    if (!ran) return { kind: 'broken', why: `no test was run: ${by}`, ms }
    if (ms > budgetMs)
      return { kind: 'missed', why: `noticed after ${ms.toFixed(0)} ms, over ${budgetMs}`, ms }
    return { kind: 'noticed', by, ms }
  } finally {
    for (const [file, text] of before) await writeFile(join(copy, file), text)
  }
}

/** Rows of the table: those of this run, and those of others from the last run in which they were. */
function documentOf(rows: readonly Row[], before: string): string {
  const cell = (text: string) => text.replaceAll('|', '\\|')
  const lines = new Map(before.split('\n').map((line) => [/^\| `([^`]+)`/.exec(line)?.[1] ?? '', line]))
  for (const { mutation, outcome } of rows) {
    const by = outcome.kind === 'noticed' ? outcome.by : `**${outcome.why}**`
    const seconds = (outcome.ms / 1000).toFixed(1)
    lines.set(
      mutation.name,
      `| \`${mutation.name}\` | ${cell(mutation.protects)} | ${cell(by)} | ${seconds} s |`,
    )
  }
  return [
    '# Mutations',
    '',
    'Written by `npm run mutations`. Each protection of the queue is taken out of a copy of the project, one at a time; the tests that are',
    'named must fail then, and pass with it. What is taken out, and by what change: `test/mutations/table.ts`. A run of some (`--only`)',
    'leaves the rows of the others as they are.',
    '',
    '| protection | without it, no longer true | noticed by | after |',
    '|---|---|---|---|',
    ...MUTATIONS.flatMap(({ name }) => lines.get(name) ?? []),
    '',
  ].join('\n')
}

async function main(): Promise<number> {
  const mutations = chosen()
  if (flags.list) {
    for (const { name, protects } of mutations) say(`${name.padEnd(44)}${protects}`)
    return 0
  }
  const copy = await makeCopy()
  const rows: Row[] = []
  try {
    const content = await contentOf(copy, mutations)
    for (const mutation of mutations) {
      const outcome = await attempt(copy, mutation, content).catch((error: Error): Outcome => {
        if (error instanceof PatchError) return { kind: 'broken', why: error.message, ms: 0 }
        throw error
      })
      rows.push({ mutation, outcome })
      const told = outcome.kind === 'noticed' ? outcome.by : outcome.why
      const mark = outcome.kind === 'noticed' ? '✓' : '✗'
      say(
        `${mark} ${mutation.name.padEnd(44)}${outcome.kind.padEnd(9)}${(outcome.ms / 1000).toFixed(1).padStart(6)} s  ${told}`,
      )
    }
  } finally {
    await rm(copy, { recursive: true, force: true })
  }
  const noticed = rows.filter(({ outcome }) => outcome.kind === 'noticed').length
  say(`${noticed} of ${rows.length} noticed`)
  if (flags.docs) await writeFile(DOCS, documentOf(rows, await readFile(DOCS, 'utf8')))
  return noticed === rows.length ? 0 : 1
}

process.exitCode = await main()
