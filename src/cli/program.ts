import { readFileSync } from 'node:fs'
import { Command } from 'commander'
import { registerBench } from './commands/bench.js'
import { registerCluster } from './commands/cluster.js'
import { registerDemo } from './commands/demo.js'
import { registerDoctor } from './commands/doctor.js'
import { registerMetrics } from './commands/metrics.js'
import { registerQueue } from './commands/queue.js'
import { shownUsage } from './output.js'

/** The whole of `shardq`; a new command is one file in `commands/` and one line here. */
export function createProgram(): Command {
  const program = new Command('shardq')
    .description(
      'A task queue that runs on every master of a Redis Cluster, and the tools to run that cluster.',
    )
    .version(readVersion())
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(shownUsage(text)) })
    .showSuggestionAfterError()
    .addHelpText(
      'after',
      `
Start here:
  $ shardq demo              a cluster, a real job, a master that dies, and the ledger
  $ shardq cluster up        a cluster on this machine, ready in about 2 s
  $ shardq cluster status
  $ shardq queue stats
  $ shardq doctor            what is wrong, and what mends it
  $ shardq bench             what a cluster does for a queue

Exit codes: 0 success, 1 a failure that is explained, 2 wrong usage. Every command takes --json.`,
    )
  registerCluster(program)
  registerQueue(program)
  registerDemo(program)
  registerDoctor(program)
  registerBench(program)
  registerMetrics(program)
  return program
}

function readVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}
