import type { Command } from 'commander'
import { type StoppedNode, type StopReport, stopCluster } from '../../cluster/index.js'
import { loadConfig } from '../../config/index.js'
import { shellWord } from '../../shell.js'
import { type CommonOptions, runAction, withCommonOptions } from '../command.js'
import { dataDirOption } from '../node-options.js'
import type { Output } from '../output.js'

interface StopFlags extends CommonOptions {
  readonly dataDir?: string
}

export function registerClusterStop(cluster: Command): void {
  withCommonOptions(
    cluster
      .command('stop')
      .summary('end the nodes that `up` has started; their data stays')
      .description(
        'Ends the nodes of the cluster in the data folder, and no other process: each is asked over the protocol ' +
          'who it is. The data stays, and `shardq cluster up` brings it back; where a node would come back without (its append-only ' +
          'file was switched off, or cannot be written, or its folder is gone), nothing is stopped, and what to type is said. Exits with 1 when a port of the cluster is held ' +
          'by something else, a node of a copied folder for one, which is left alone.',
      ),
  )
    .addOption(dataDirOption())
    .addHelpText(
      'after',
      `
Examples:
  $ shardq cluster stop
  $ shardq cluster stop --data-dir /var/lib/my-cluster`,
    )
    .action((flags: StopFlags) => runAction(flags, clusterStop))
}

async function clusterStop(flags: StopFlags, output: Output): Promise<void> {
  if (flags.config !== undefined) await loadConfig(flags.config)
  const onNode = (node: StoppedNode) => output.line(`  ${describe(node)}`)
  const report = await stopCluster({
    ...(flags.dataDir === undefined ? {} : { dataDir: flags.dataDir }),
    onNode,
  })
  output.document(report)
  if (!report.found)
    output.line(`There is no cluster in ${report.dataDir}; name another folder with --data-dir`)
  else if (report.nodes.some(({ outcome }) => outcome === 'foreign')) {
    reportForeign(report, output)
    process.exitCode = 1
  } else {
    const again = flags.dataDir ? ` --data-dir ${shellWord(flags.dataDir)}` : ''
    output.line()
    output.line(
      `✅ Stopped. The data stays in ${report.dataDir}; bring it back with: shardq cluster up${again}`,
    )
  }
}

/** What runs on, where, and how it is ended; once for all nodes of one cluster. */
function reportForeign({ dataDir, nodes }: StopReport, output: Output): void {
  const foreign = nodes.filter(({ outcome }) => outcome === 'foreign')
  const all = foreign.length === nodes.length
  output.line()
  output.line(
    `${output.colors.red('✗')} ${all ? 'Nothing was stopped' : 'Not all ports are free'}: ${foreign.length} of ` +
      `${nodes.length} ports are held by something that does not run in ${dataDir}`,
  )
  const remedies = new Set(
    foreign.map(({ port, holder }) =>
      holder === null
        ? `see what holds it with: ss -ltnp 'sport = :${port}'`
        : holder.dataDir === null
          ? `if that is not wanted, end it with: ${holder.stop}`
          : `a node of the cluster in ${holder.dataDir}; stop that with: ${holder.stop}`,
    ),
  )
  for (const remedy of remedies) output.line(`  → ${remedy}`)
}

function describe({ port, pid, outcome, holder }: StoppedNode): string {
  switch (outcome) {
    case 'stopped':
      return `✅ Stopped node on port ${port} (PID: ${pid})`
    case 'not running':
      return `➖ Node on port ${port} was not running`
    case 'foreign':
      return `⚠️  Port ${port} is held by ${holder?.text ?? 'something that is no Redis'}; left alone`
  }
}
