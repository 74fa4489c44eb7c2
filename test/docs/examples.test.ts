import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, inject, it, onTestFinished } from 'vitest'
import { makeCertificates } from '../../src/cluster/index.js'
import { loadConfig } from '../../src/index.js'
import { removeKeys } from '../helpers/behaviour/harness.js'
import { blocks, PAGES, page, ROOT } from './markdown.js'

const run = promisify(execFile)
const at = (path: string) => fileURLToPath(new URL(path, ROOT))

/** What each program prints, by page; a new one needs its lines here. All of them use the queue `backtests`. */
const PRINTS: Readonly<Record<string, readonly (readonly string[])[]>> = {
  'README.md': [
    ['cleaned old', "1 backtest { sharpe: 1.8, symbol: 'BTCUSDT' }", '2 cleanup undefined'],
    ['ok'],
  ],
  'docs/hosts.md': [['refused: 3']],
  'docs/metrics.md': [['true true']],
}

const texts = await Promise.all(PAGES.map(async (name) => ({ name, text: await page(name) })))
const programs = texts.flatMap(({ name, text }) =>
  blocks(text, 'ts').map((program, i) => ({ name, number: i + 1, program, prints: PRINTS[name]?.[i] ?? [] })),
)
// Other programs have settings in YAML too.
const settings = texts.flatMap(({ name, text }) =>
  blocks(text, 'yaml')
    .filter((yaml) => yaml.startsWith('redis:'))
    .map((yaml) => ({ name, yaml })),
)

/** Where the subpaths of the package are made from. */
const SOURCES: Readonly<Record<string, string>> = {
  shardq: 'src/index.ts',
  'shardq/cluster': 'src/cluster.ts',
  'shardq/metrics': 'src/metrics/index.ts',
}

/** The pages speak of the cluster on ports 7000 to 7005; here it is that of the tests. */
function onTestCluster(text: string): string {
  const { nodes } = inject('cluster')
  return text.replaceAll(/\b700(\d)\b/g, (_, index) => String(nodes[Number(index)]?.port))
}

async function inTempFolder(files: Readonly<Record<string, string>>): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'shardq-docs-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  await Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(dir, name), text)))
  return dir
}

describe.each(programs)('program $number of $name', ({ program, prints }) => {
  it('runs, and runs again, on the cluster of the tests in place of its own', async () => {
    const connection = { mode: 'cluster', nodes: inject('cluster').nodes } as const
    onTestFinished(() => removeKeys(connection, 'backtests'))
    const [yaml = ''] = blocks(await page('README.md'), 'yaml')
    const dir = await inTempFolder({
      'example.mts': onTestCluster(program).replaceAll(/from '(shardq[/\w]*)'/g, (_, name: string) => {
        return `from '${new URL(SOURCES[name] ?? name, ROOT)}'`
      }),
      'redis.yaml': onTestCluster(yaml),
    })
    // Twice, for what the first run leaves on the servers must not change what the second one does.
    for (let time = 1; time <= 2; time++) {
      const { stdout, stderr } = await run(process.execPath, ['--import', 'tsx', join(dir, 'example.mts')], {
        cwd: at('.'),
        env: { ...process.env, SHARDQ_CONFIG: join(dir, 'redis.yaml') },
        timeout: 15_000,
      })
      expect(stderr).toBe('')
      expect(stdout.trim().split('\n').sort()).toEqual([...prints].sort())
    }
  }, 40_000)

  it('has the right types', async () => {
    const dir = await inTempFolder({
      'example.mts': program,
      'tsconfig.json': JSON.stringify({
        extends: at('tsconfig.json'),
        compilerOptions: {
          typeRoots: [at('node_modules/@types')],
          paths: Object.fromEntries(Object.entries(SOURCES).map(([name, path]) => [name, [at(path)]])),
        },
        include: ['example.mts', at('src/keys/cluster-key-slot.d.ts')],
      }),
    })
    const tsc = run(process.execPath, [at('node_modules/typescript/bin/tsc'), '-p', dir], { cwd: dir })
    expect((await tsc.catch((error: { stdout: string }) => error)).stdout).toBe('')
  }, 30_000)
})

it('has programs to run, and settings of both modes to read', async () => {
  expect(programs.map(({ name }) => name)).toEqual([
    'README.md',
    'README.md',
    'docs/hosts.md',
    'docs/metrics.md',
  ])
  const modes = await Promise.all(
    settings.map(async ({ yaml }) => {
      const dir = await inTempFolder({ 'redis.yaml': yaml })
      if (yaml.includes('tls/')) await makeCertificates({ to: join(dir, 'tls') })
      // Without the environment of whoever runs the tests.
      return (await loadConfig(join(dir, 'redis.yaml'), {})).redis
    }),
  )
  expect(modes).toMatchObject([
    {
      mode: 'cluster',
      nodes: [
        { host: '127.0.0.1', port: 7000 },
        { host: '127.0.0.1', port: 7001 },
      ],
    },
    { mode: 'single', url: 'redis://localhost:6379' },
    { mode: 'cluster', username: 'shardq', natMap: { '10.0.0.1:6379': { port: 7001 } } },
    {
      mode: 'cluster',
      tls: {
        ca: expect.stringContaining('BEGIN CERTIFICATE'),
        cert: expect.stringContaining('BEGIN CERTIFICATE'),
        key: expect.stringContaining('BEGIN PRIVATE KEY'),
      },
    },
  ])
})
