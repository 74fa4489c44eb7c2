import { type Command, Option } from 'commander'
import type { Address, LocalCluster } from '../../cluster/index.js'
import { nameOf } from '../../cluster/index.js'
import type { ClusterConnectionOptions } from '../../connection/options.js'
import type { DrillOptions, DrillPlan, DrillReport } from '../../drill/index.js'
import { DRILL_KINDS, type DrillKind } from '../../drill/options.js'
import { agree } from '../agree.js'
import { hostPort, wholeNumber } from '../arguments.js'
import { type CommonOptions, runAction, withCommonOptions } from '../command.js'
import { findCluster } from '../find-cluster.js'
import { dataDirOption, nodeOption } from '../node-options.js'
import type { Output } from '../output.js'

interface DrillFlags extends CommonOptions {
  readonly kind: DrillKind | 'all'
  readonly node?: Address
  readonly dataDir?: string
  readonly shard?: Address
  readonly rate?: number
  readonly beforeMs?: number
  readonly afterMs?: number
  readonly freezeMs?: number
  readonly yes?: boolean
}

export function registerClusterDrill(cluster: Command): void {
  withCommonOptions(
    cluster
      .command('drill')
      .summary('strike one shard under load, and account for every task')
      .description(
        'Strikes one shard of a cluster while a queue of its own is under load, measures detection, election and what ' +
          'clients see, accounts for every task, and mends what it did. Asks before it does anything. Exits with 1 ' +
          'when a task was lost, delivered twice without a reason, or anything else that is promised did not hold.',
      ),
  )
    .addOption(
      new Option('--kind <kind>', 'what is done to the shard; `all`: one after the other')
        .choices([...DRILL_KINDS, 'all'])
        .makeOptionMandatory(),
    )
    .addOption(nodeOption())
    .addOption(dataDirOption())
    .option(
      '--shard <host:port>',
      'the master to strike (default: the first with slots and a linked replica)',
      hostPort,
    )
    .option('--rate <n>', 'tasks per second (default: 500)', wholeNumber(10))
    .option('--before-ms <ms>', 'load before the strike (default: 3000)', wholeNumber(500))
    .option('--after-ms <ms>', 'load after the cluster is whole again (default: 3000)', wholeNumber(500))
    .option(
      '--freeze-ms <ms>',
      'how long freeze lasts (default: until a replica is promoted)',
      wholeNumber(1),
    )
    .option('--yes', 'do not ask')
    .addHelpText(
      'after',
      `
Kinds:
  failover     a replica takes over in good order (CLUSTER FAILOVER), and hands the shard back
  restart      the master ends in good order and is started again before it is missed
  kill         the master ends at once, as in a crash, and is started again when a replica is in its place
  freeze       the master answers nothing and keeps its connections, until a replica is in its place
  replica-lag  the replica stands still for 2 s, and then the master is killed

On a cluster that \`shardq cluster up\` has started, by signals. On any other, by what Redis offers: SHUTDOWN (comes
back only if a service manager starts it), DEBUG SLEEP (where enable-debug-command permits it), CLUSTER FAILOVER.

Examples:
  $ shardq cluster drill --kind kill
  $ shardq cluster drill --kind failover --node 10.0.0.5:7000
  $ shardq cluster drill --kind all --yes --json | jq .passed`,
    )
    .action((flags: DrillFlags) => runAction(flags, clusterDrill))
}

async function clusterDrill(flags: DrillFlags, output: Output, signal: AbortSignal): Promise<void> {
  // The drill brings the whole queue with it, which no other command has to wait for.
  const { planDrill } = await import('../../drill/index.js')
  const { renderDrill, renderStep } = await import('../drill-report.js')
  const { cluster, nodeOfShard } = await findCluster(flags)
  const optionsFor = (kind: DrillKind, shard: Address | undefined) =>
    drillOptions(flags, { kind, cluster, signal }, shard, (step) => output.line(renderStep(step)))
  const kinds = flags.kind === 'all' ? DRILL_KINDS : [flags.kind]

  const plans: DrillPlan[] = []
  for (const kind of kinds) plans.push(await planDrill(optionsFor(kind, flags.shard)))
  for (const [index, plan] of plans.entries()) printPlan(plan, kinds[index] ?? '', output)
  await agree(flags, { what: 'the drill', why: 'a drill strikes running servers' }, output, signal)

  const reports: DrillReport[] = []
  for (const [index, kind] of kinds.entries()) {
    // A drill may leave the shard with another master, and each begins by making sure that the cluster is whole.
    const first = plans[index]
    const shard = first && (await nodeOfShard(first.shard))
    const plan = index === 0 ? first : await planDrill(optionsFor(kind, shard))
    if (!plan) continue
    output.line()
    const report = await plan.run()
    reports.push(report)
    output.lines(renderDrill(report, output.colors))
  }
  const passed = reports.every((report) => report.passed)
  output.document(flags.kind === 'all' ? { passed, reports } : reports[0])
  process.exitCode = passed ? 0 : 1
}

function drillOptions(
  flags: DrillFlags,
  common: { kind: DrillKind; cluster: LocalCluster | ClusterConnectionOptions; signal: AbortSignal },
  shard: Address | undefined,
  onStep: NonNullable<DrillOptions['onStep']>,
): DrillOptions {
  const { rate, beforeMs, afterMs, freezeMs } = flags
  return {
    ...common,
    onStep,
    ...(shard === undefined ? {} : { shard }),
    ...(rate === undefined ? {} : { rate }),
    ...(beforeMs === undefined ? {} : { beforeMs }),
    ...(afterMs === undefined ? {} : { afterMs }),
    // With `all`, it is for that kind alone; given to another by itself, it is a mistake that `drill` names.
    ...(freezeMs === undefined || (flags.kind === 'all' && common.kind !== 'freeze') ? {} : { freezeMs }),
  }
}

function printPlan({ shard, deeds }: DrillPlan, kind: string, output: Output): void {
  output.title(`Drill ${kind}: the shard of ${nameOf(shard.master)}`)
  for (const [index, deed] of deeds.entries()) output.line(`  ${index + 1}. ${deed}`)
}
