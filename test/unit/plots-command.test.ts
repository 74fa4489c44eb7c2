import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it, onTestFinished } from 'vitest'
import { toSvg } from '../../scripts/bench/plot/look.js'
import { throughput } from '../../scripts/bench/plots.js'
import { DEPTH, PEERS } from '../helpers/bench-results.js'

describe('npm run plots', () => {
  const run = promisify(execFile)
  const script = fileURLToPath(new URL('../../scripts/bench/plot.ts', import.meta.url))

  async function plot(files: Readonly<Record<string, string>>) {
    const folder = await mkdtemp(join(tmpdir(), 'shardq-plots-'))
    onTestFinished(() => rm(folder, { recursive: true, force: true }))
    await Promise.all(Object.entries(files).map(([name, text]) => writeFile(join(folder, name), text)))
    const args = ['--import', 'tsx', script, '--from', folder, '--to', join(folder, 'out')]
    const ended = await run(process.execPath, args).then(
      (output) => ({ ...output, code: 0 }),
      (error: { code: number; stdout: string; stderr: string }) => error,
    )
    return { ...ended, drawn: await readdir(join(folder, 'out')).catch(() => []), folder }
  }

  it('draws what was measured, from JSON, and says what was not', async () => {
    const { code, stdout, drawn, folder } = await plot({
      'peers.json': JSON.stringify(PEERS),
      'depth.json': JSON.stringify(DEPTH),
    })
    expect(code).toBe(0)
    expect(drawn.sort()).toEqual(['depth.svg', 'throughput.svg'])
    expect(stdout).toContain(`growth.svg: not drawn, there is no ${join(folder, 'growth.json')}`)
    const svg = await readFile(join(folder, 'out', 'throughput.svg'), 'utf8')
    expect(svg).toBe(toSvg(throughput(PEERS)))
  })

  it('fails where there is nothing', async () => {
    expect(await plot({})).toMatchObject({
      code: 1,
      drawn: [],
      stderr: expect.stringMatching(/^Nothing to draw/),
    })
  })

  it('fails where a file is something else, and names it', async () => {
    const other = await plot({ 'peers.json': '[{"masters":3,"rows":[]}]' })
    expect(other).toMatchObject({ code: 1, drawn: [] })
    expect(other.stderr).toContain(`${join(other.folder, 'peers.json')} is not what the bench writes`)
  })
})
