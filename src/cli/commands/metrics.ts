import { once } from 'node:events'
import type { Command } from 'commander'
import type { Address } from '../../cluster/index.js'
import { startEndpoint } from '../../metrics/index.js'
import { wholeNumber } from '../arguments.js'
import { type CommonOptions, runAction, withCommonOptions } from '../command.js'
import { findNodes } from '../find-nodes.js'
import { dataDirOption, nodeOption } from '../node-options.js'
import type { Output } from '../output.js'

interface MetricsFlags extends CommonOptions {
  readonly node?: Address
  readonly dataDir?: string
  readonly port?: number
  readonly host?: string
  readonly timeoutMs?: number
}

export function registerMetrics(program: Command): void {
  withCommonOptions(
    program
      .command('metrics')
      .summary('serve the metrics of a cluster and its queues to Prometheus')
      .description(
        'Serves, until it is interrupted, /metrics with what every node and every queue tells, under the names that ' +
          'redis_exporter uses and as task_queue_*; /healthz, which says that this process lives; and /readyz, which says ' +
          'whether any node answers. Nodes are found from any one of them, and asked at each scrape.',
      ),
  )
    .addOption(nodeOption('a node of the cluster, or a single server'))
    .addOption(dataDirOption())
    .option('--port <n>', 'where to listen; 0 for any that is free (default: 9121)', wholeNumber(0))
    .option('--host <address>', 'where to listen (default: 127.0.0.1, which nobody else reaches)')
    .option('--timeout-ms <n>', 'longest wait for a node (default: 1000)', wholeNumber(50))
    .addHelpText(
      'after',
      `
With --json it prints where it listens, once it does.

Examples:
  $ shardq metrics
  $ shardq metrics --node 10.0.0.5:7000 --host 0.0.0.0
  $ curl -s localhost:9121/metrics | grep redis_up`,
    )
    .action((flags: MetricsFlags) => runAction(flags, metrics))
}

async function metrics(flags: MetricsFlags, output: Output, signal: AbortSignal): Promise<void> {
  const { port, host, timeoutMs } = flags
  const endpoint = await startEndpoint({
    connection: await findNodes(flags),
    ...(port === undefined ? {} : { port }),
    ...(host === undefined ? {} : { host }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  })
  output.line(`${endpoint.url}/metrics   (also /healthz, /readyz; Ctrl-C ends it)`)
  output.document({
    url: endpoint.url,
    host: endpoint.host,
    port: endpoint.port,
    metrics: `${endpoint.url}/metrics`,
  })
  // To be interrupted is how it ends, and so no failure.
  if (!signal.aborted) await once(signal, 'abort')
  await endpoint.close()
}
