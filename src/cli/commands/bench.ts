import type { Command } from 'commander'
import { type Address, LocalCluster } from '../../cluster/index.js'
import { wholeNumber } from '../arguments.js'
import { type CommonOptions, runAction, withCommonOptions } from '../command.js'
import { count } from '../figures.js'
import { findCluster } from '../find-cluster.js'
import { dataDirOption, nodeOption } from '../node-options.js'
import type { Output } from '../output.js'

interface BenchFlags extends CommonOptions {
  readonly node?: Address
  readonly dataDir?: string
  readonly tasks?: number
  readonly bytes?: number
  readonly concurrency?: number
  readonly rounds?: number
}

export function registerBench(program: Command): void {
  withCommonOptions(
    program
      .command('bench')
      .summary('measure what a cluster does for a queue')
      .description(
        'Measures enqueueing, processing, both at once, and the latency of an idle queue, on queues of its own that it ' +
          'removes again; beside it the floor, which is the same Redis calls with nothing around them. Prints the median ' +
          'of all rounds, with the least and the most, and what a task costs the client and the servers in CPU time.',
      ),
  )
    .addOption(nodeOption())
    .addOption(dataDirOption())
    .option('--tasks <n>', 'tasks in each reading (default: 100000)', wholeNumber(10_000))
    .option('--bytes <n>', "size of a task's data (default: 100)", wholeNumber(10))
    .option('--concurrency <n>', 'handlers at once (default: 500)', wholeNumber(1))
    .option('--rounds <n>', 'readings of each kind (default: 5)', wholeNumber(1))
    .addHelpText(
      'after',
      `
It keeps the servers busy for a minute or two: not for a cluster whose users would mind.

Examples:
  $ shardq bench
  $ shardq bench --node 10.0.0.5:7000 --bytes 1000 --rounds 3
  $ shardq bench --json > bench.json`,
    )
    .action((flags: BenchFlags) => runAction(flags, runBench))
}

async function runBench(flags: BenchFlags, output: Output, signal: AbortSignal): Promise<void> {
  const { benchCluster, renderBench, titleOf } = await import('../../bench/index.js')
  const { cluster } = await findCluster(flags)
  const connection = cluster instanceof LocalCluster ? cluster.connection : cluster
  const { tasks, bytes, concurrency, rounds } = flags
  const rows = await benchCluster({
    connection,
    signal,
    onReading: ({ measure, contender, round, reading }) =>
      output.line(
        `  ${titleOf(measure)}: ${contender}, round ${round + 1}, ${count(Math.round(reading.perSecond))}/s`,
      ),
    ...(tasks === undefined ? {} : { tasks }),
    ...(bytes === undefined ? {} : { bytes }),
    ...(concurrency === undefined ? {} : { concurrency }),
    ...(rounds === undefined ? {} : { rounds }),
  })
  output.line()
  output.lines(renderBench(rows, false).split('\n'))
  output.document({ rows })
}
