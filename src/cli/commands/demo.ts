import type { Command } from 'commander'
import type { DemoOptions } from '../../demo/index.js'
import { wholeNumber } from '../arguments.js'
import { runAction } from '../command.js'

type DemoFlags = Omit<DemoOptions, 'signal'>

export function registerDemo(program: Command): void {
  program
    .command('demo')
    .summary('a cluster, a real job, a master that dies, and the ledger')
    .description(
      'Starts a Redis Cluster of its own, searches a grid of 20,000 trading strategies with tasks over several ' +
        'worker processes, kills a master half way, and accounts for every task. Takes about half a minute, and ' +
        'leaves nothing behind. Exits with 1 when the ledger does not balance.',
    )
    .option('--tasks <number>', 'back-tests to run (default: the whole grid, 20000)', wholeNumber(1))
    .option('--workers <number>', 'worker processes (default: 2)', wholeNumber(1))
    .option('--redis-path <path>', 'server binary or its folder (default: SHARDQ_REDIS_PATH, then PATH)')
    .option('--base-port <port>', 'first of six ports (default: ports that are free)', wholeNumber(1))
    .option('--no-kill', 'let all masters live')
    .option('--json', 'print one JSON document at the end and nothing else')
    .addHelpText(
      'after',
      `
Examples:
  $ shardq demo
  $ shardq demo --tasks 2000 --workers 4
  $ shardq demo --json | jq .ledger`,
    )
    .action((flags: DemoFlags) =>
      runAction(flags, async (_, __, signal) => {
        // The demo brings the whole queue with it, which no other command has to wait for.
        const { runDemo } = await import('../../demo/index.js')
        process.exitCode = await runDemo({ ...flags, signal })
      }),
    )
}
