import { execFile } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, inject, it, onTestFinished } from 'vitest'
import { loadConfig } from '../../src/index.js'
import { removeKeys } from '../helpers/behaviour/harness.js'
import { blocks, page, ROOT } from './markdown.js'

const run = promisify(execFile)

async function inTempFile(name: string, text: string): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'shardq-docs-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  const file = join(dir, name)
  await writeFile(file, text)
  return file
}

it("runs the README's program, on the cluster of the tests in place of its own", async () => {
  const programs = blocks(await page('README.md'), 'ts')
  expect(programs).toHaveLength(1)
  const connection = { mode: 'cluster', nodes: inject('cluster').nodes } as const
  const text = (programs[0] ?? '')
    .replace("from 'shardq'", `from ${JSON.stringify(new URL('src/index.ts', ROOT).href)}`)
    .replace("[{ host: '127.0.0.1', port: 7000 }]", JSON.stringify(connection.nodes))
  expect(text).not.toContain('7000')
  onTestFinished(() => removeKeys(connection, 'backtests'))
  const file = await inTempFile('example.mts', text)
  const { stdout, stderr } = await run(process.execPath, ['--import', 'tsx', file], {
    cwd: fileURLToPath(ROOT),
    timeout: 15_000,
  })
  expect(stderr).toBe('')
  expect(stdout).toContain("backtest { sharpe: 1.8, symbol: 'BTCUSDT' }")
  expect(stdout).toContain('cleaned old')
})

it("reads the README's configuration", async () => {
  const [yaml] = blocks(await page('README.md'), 'yaml')
  const { redis } = await loadConfig(await inTempFile('redis.yaml', yaml ?? ''))
  expect(redis).toMatchObject({
    mode: 'cluster',
    nodes: [
      { host: '127.0.0.1', port: 7000 },
      { host: '127.0.0.1', port: 7001 },
    ],
  })
})
