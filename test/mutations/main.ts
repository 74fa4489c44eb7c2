/** `npm run mutations`: see scripts/mutations.mjs. */
import { spawn } from 'node:child_process'
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Mutation, type Notice, PatchError, patched } from './mutation.js'
import { PENDING } from './pending.js'
import { MUTATIONS } from './table.js'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const COPIED = ['src', 'test', 'scripts', 'package.json', 'package-lock.json', 'tsconfig.json', 'LICENSE']
const CONFIGS = ['vitest.config.ts', 'vitest.mutations.config.ts']
const BUDGET_MS = 60_000
/** Until a run that neither ends nor fails is ended. */
const PATIENCE_MS = 240_000
const DOCS = join(ROOT, 'docs/mutations.md')

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string' },
    list: { type: 'boolean', default: false },
    docs: { type: 'boolean', default: true },
    /** Those of other branches as well. */
    pending: { type: 'boolean', default: false },
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
  const all = flags.pending ? [...MUTATIONS, ...PENDING] : MUTATIONS
  const names = flags.only?.split(',')
  const unknown = names?.filter((name) => !all.some((each) => each.name === name)) ?? []
  if (unknown.length > 0) throw new Error(`no such mutation: ${unknown.join(', ')}; see --list`)
  return all.filter(({ name }) => names?.includes(name) ?? true)
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

function run(copy: string, args: readonly string[]): Promise<Ended> {
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
    const timer = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS)
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
    readonly assertionResults: readonly { readonly status: string; readonly title: string }[]
  }[]
}

/** Whether what must notice is content, and what it says if not. */
async function ask(
  copy: string,
  notice: Notice,
): Promise<{ ok: boolean; by: string; ran: boolean; ms: number }> {
  if ('storm' in notice) {
    const { code, output, ms } = await run(copy, ['scripts/chaos.mjs', ...notice.storm])
    const says = output.split('\n').find((line) => notice.as.test(line))
    return {
      ok: code === 0,
      by: `storm: ${says?.trim() ?? 'something else'}`,
      ran: code === 0 || says !== undefined,
      ms,
    }
  }
  const report = join(copy, 'results.json')
  await rm(report, { force: true })
  const { ms, output } = await run(copy, [
    'node_modules/vitest/vitest.mjs',
    ...['run', '--config', 'vitest.mutations.config.ts', '--reporter=json', `--outputFile=${report}`],
    ...(notice.only === undefined ? [] : ['-t', notice.only]),
    ...notice.files,
  ])
  const text = await readFile(report, 'utf8').catch(() => undefined)
  // A process that was brought down, or stands still, has no report.
  if (text === undefined) return { ok: false, by: output.trim().split('\n').at(-1) ?? '', ran: false, ms }
  const results = JSON.parse(text) as TestResults
  const failed = results.testResults
    .flatMap((file) => file.assertionResults)
    .find(({ status }) => status === 'failed')
  const endMs = Math.max(...results.testResults.map(({ endTime }) => endTime))
  return {
    ok: results.numFailedTests === 0 && results.numPassedTests > 0,
    by: failed?.title ?? '',
    ran: results.numPassedTests + results.numFailedTests > 0,
    ms: endMs - results.startTime,
  }
}

/** Tests that are content with the project as it is; each is asked once. */
const content = new Map<string, boolean>()

async function isContent(copy: string, notice: Notice): Promise<boolean> {
  const key = JSON.stringify(notice)
  const known = content.get(key)
  if (known !== undefined) return known
  const { ok } = await ask(copy, notice)
  content.set(key, ok)
  return ok
}

async function attempt(copy: string, mutation: Mutation): Promise<Outcome> {
  const { patches, noticedBy, budgetMs = BUDGET_MS } = mutation
  const files = [...new Set(patches.map(({ file }) => file))]
  const before = new Map<string, string>()
  for (const file of files) before.set(file, await readFile(join(copy, file), 'utf8'))
  const after = new Map(before)
  for (const patch of patches) after.set(patch.file, patched(after.get(patch.file) ?? '', patch))
  if (!(await isContent(copy, noticedBy)))
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

function documentOf(rows: readonly Row[]): string {
  const cell = (text: string) => text.replaceAll('|', '\\|')
  return [
    '# Mutations',
    '',
    'Written by `npm run mutations`. Each protection of the queue is taken out of a copy of the project, one at a time; the tests that are',
    'named must fail then, and pass with it. What is taken out, and by what change: `test/mutations/table.ts`.',
    '',
    '| protection | without it, no longer true | noticed by | after |',
    '|---|---|---|---|',
    ...rows.map(({ mutation, outcome }) => {
      const by = outcome.kind === 'noticed' ? outcome.by : `**${outcome.why}**`
      return `| \`${mutation.name}\` | ${cell(mutation.protects)} | ${cell(by)} | ${(outcome.ms / 1000).toFixed(1)} s |`
    }),
    '',
  ].join('\n')
}

async function main(): Promise<number> {
  const mutations = chosen()
  if (flags.list) {
    for (const { name, protects } of mutations) say(`${name.padEnd(36)}${protects}`)
    return 0
  }
  const copy = await makeCopy()
  const rows: Row[] = []
  try {
    for (const mutation of mutations) {
      const outcome = await attempt(copy, mutation).catch((error: Error): Outcome => {
        if (error instanceof PatchError) return { kind: 'broken', why: error.message, ms: 0 }
        throw error
      })
      rows.push({ mutation, outcome })
      const told = outcome.kind === 'noticed' ? outcome.by : outcome.why
      const mark = outcome.kind === 'noticed' ? '✓' : '✗'
      say(
        `${mark} ${mutation.name.padEnd(36)}${outcome.kind.padEnd(9)}${(outcome.ms / 1000).toFixed(1).padStart(6)} s  ${told}`,
      )
    }
  } finally {
    await rm(copy, { recursive: true, force: true })
  }
  const noticed = rows.filter(({ outcome }) => outcome.kind === 'noticed').length
  say(`${noticed} of ${rows.length} noticed`)
  if (flags.docs && flags.only === undefined) await writeFile(DOCS, documentOf(rows))
  return noticed === rows.length ? 0 : 1
}

process.exitCode = await main()
