import { readdir } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import { shardq, signalOnce } from '../helpers/cli.js'
import { tempDir } from '../helpers/temp-dir.js'

/** Runs the demo with a temporary folder of its own, and tells what it left there. */
async function demo(args: readonly string[], options: Parameters<typeof shardq>[1] = {}) {
  const folder = await tempDir()
  const result = await shardq(['demo', ...args], { ...options, env: { TMPDIR: folder, TEMP: folder } })
  return { ...result, left: await readdir(folder) }
}

describe('shardq demo', () => {
  // The grid takes 25 s whatever its size, for the failover has to fit into its second half.
  test('kills a master, and the ledger balances', { timeout: 60_000 }, async () => {
    const { code, stdout, stderr, left } = await demo(['--tasks', '1000', '--json'])
    expect({ code, stderr, left }).toEqual({ code: 0, stderr: '', left: [] })
    const report = JSON.parse(stdout)
    expect(report.ledger).toMatchObject({ enqueued: 1000, completed: 1000, lost: [], balanced: true })
    expect(report.leftInQueue).toBe(0)
    expect(report.structure).toEqual([])
    expect(report.killed.servedAgainAfterMs).toBeGreaterThan(0)
    expect(report.best).toHaveLength(5)
    expect(report.best[0].sharpe).toBeGreaterThan(report.buyAndHold.sharpe)
  })

  test('leaves nothing behind when it is interrupted', { timeout: 30_000 }, async () => {
    const { code, stderr, left } = await demo([], {
      onSpawn: signalOnce('SIGINT', (stdout) => stdout.includes('completed')),
    })
    expect(code).toBe(1)
    expect(stderr).toContain('interrupted')
    expect(left).toEqual([])
  })

  test.each([
    [['--tasks', '20001'], '--tasks: expected a whole number from 1 to 20000, got 20001'],
    [['--workers', '65'], '--workers: expected a whole number from 1 to 64, got 65'],
  ])('refuses %j', async (args, message) => {
    const { code, stderr } = await demo(args)
    expect(code).toBe(2)
    expect(stderr).toContain(message)
  })
})
