/**
 * `npm run chaos -- --faults 200 --seed 7 [--kinds a,b] [--replicas 2] [--pairs 0.25] [--per-account 10] [--keep-going] [--json FILE]
 * [--without PROTECTION]`: a queue at work on a cluster of its own that is struck again and again, and an account of every task. The
 * same seed makes the same choices. `--pairs`: share of the faults that come with a second one at the same time. `--per-account`: faults
 * after which the queue is drained and all tasks are accounted for. `--replicas`: of each of the three masters.
 *
 * `npm run chaos -- --late-only MINUTES --rate 5000`: replicas that are late for 100 to 500 ms, and nothing else; tasks that take long
 * and fail often.
 *
 * Where the system permits, in a network of its own, so that hosts can be cut off as well.
 */
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { constants, tmpdir } from 'node:os'
import { join } from 'node:path'
import { canHaveOwnNetwork, spawnInOwnNetwork } from './own-network.mjs'
import { setup } from './setup.mjs'
import { root } from './steps.mjs'

await setup()
// All that the run puts on disk lies here, so that nothing is left of one that was killed.
const folder = mkdtempSync(join(tmpdir(), 'shardq-chaos-'))
const args = ['--import', 'tsx', join(root, 'test/chaos/storm/main.ts'), ...process.argv.slice(2)]
const env = { ...process.env, TMPDIR: folder }
const isolated = canHaveOwnNetwork()
const child = isolated
  ? spawnInOwnNetwork(process.execPath, args, env)
  : spawn(process.execPath, args, { stdio: 'inherit', env })

// Ctrl-C on a terminal reaches the run by itself; we only have to wait for its end.
process.on('SIGINT', () => {})
process.on('SIGTERM', () => child.kill(isolated ? 'SIGKILL' : 'SIGTERM'))
child.once('exit', (code, signal) => {
  removeAllBut(code === 1 ? 'shardq-storm-' : undefined)
  process.exit(code ?? (signal ? 128 + constants.signals[signal] : 1))
})

/** Ledgers stay where they show what went wrong. */
function removeAllBut(prefix) {
  const kept = readdirSync(folder).filter((name) => prefix !== undefined && name.startsWith(prefix))
  for (const name of readdirSync(folder)) {
    if (!kept.includes(name)) rmSync(join(folder, name), { recursive: true, force: true, maxRetries: 5 })
  }
  if (kept.length === 0) rmSync(folder, { recursive: true })
}
