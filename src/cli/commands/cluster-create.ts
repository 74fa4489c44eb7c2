import type { Command } from 'commander'
import {
  type CreatedCluster,
  type CreatePlan,
  isOneCluster,
  type NewNode,
  nameOf,
  planCreate,
} from '../../cluster/index.js'
import { loadConfig } from '../../config/index.js'
import { accessOf } from '../../connection/target.js'
import { PlainTable } from '../../plain-table.js'
import { agree } from '../agree.js'
import { nodeList, wholeNumber } from '../arguments.js'
import { type CommonOptions, runAction, withCommonOptions } from '../command.js'
import { seconds } from '../figures.js'
import type { Output } from '../output.js'

interface CreateFlags extends CommonOptions {
  readonly nodes: readonly NewNode[]
  readonly replicasPerMaster?: number
  readonly reset?: boolean
  readonly ifMissing?: boolean
  readonly dryRun?: boolean
  readonly yes?: boolean
  readonly timeoutMs?: number
}

export function registerClusterCreate(cluster: Command): void {
  withCommonOptions(
    cluster
      .command('create')
      .summary('make one cluster of servers that run already, on several hosts')
      .description(
        'Makes one cluster of servers that run already, empty and with cluster-enabled yes. Looks at every one of them, says ' +
          'all that is in the way, shows who would become what, and asks. Masters and replicas are spread so that any one ' +
          'host may be lost, and where that cannot be had it says why. Returns when every node agrees, every replica is ' +
          'linked and every shard has taken a write; what fails half way is undone.',
      ),
  )
    .requiredOption(
      '--nodes <host:port,...>',
      'the servers, by addresses at which they reach each other; host:port@busport where the bus is not where the server says; may be repeated',
      nodeList,
    )
    .option('--replicas-per-master <n>', 'replicas of each master (default: 1)', wholeNumber(0))
    .option(
      '--reset',
      'take empty nodes that know only one another, as a `create` that was killed leaves them',
    )
    .option(
      '--if-missing',
      'where these servers, and no others, are one cluster already: say so, and end with 0',
    )
    .option('--dry-run', 'show the plan, change nothing')
    .option('--yes', 'do not ask')
    .option('--timeout-ms <ms>', 'longest wait until the cluster is ready (default: 30000)', wholeNumber(1))
    .addHelpText(
      'after',
      `
The password is that of the configuration: SHARDQ_REDIS_PASSWORD, SHARDQ_REDIS_PASSWORD_FILE or --config.

Examples:
  $ shardq cluster create --nodes 10.0.0.1:7000,10.0.0.2:7000,10.0.0.3:7000,10.0.0.4:7000,10.0.0.5:7000,10.0.0.6:7000
  $ shardq cluster create --nodes db1:7000,db1:7001,db2:7000,db2:7001,db3:7000,db3:7001 --dry-run
  $ shardq cluster create --nodes db1:7000,db2:7000,db3:7000 --replicas-per-master 0 --yes --json | jq .readyMs
  $ shardq cluster firewall --help                      which ports have to be open, and to whom`,
    )
    .action((flags: CreateFlags) => runAction(flags, clusterCreate))
}

async function clusterCreate(flags: CreateFlags, output: Output, signal: AbortSignal): Promise<void> {
  const { nodes, replicasPerMaster, reset, timeoutMs } = flags
  const access = await credentials(flags)
  if (flags.ifMissing && (await isOneCluster(nodes, access))) {
    output.document({ created: false, nodes: nodes.map(nameOf) })
    output.line(
      `${output.colors.green('✓')} these ${nodes.length} are one cluster already; nothing was changed`,
    )
    return
  }
  const plan = await planCreate({
    nodes,
    ...access,
    signal,
    ...(replicasPerMaster === undefined ? {} : { replicasPerMaster }),
    ...(reset === undefined ? {} : { reset }),
    ...(timeoutMs === undefined ? {} : { readyMs: timeoutMs }),
  })
  const { run: _, ...shown } = plan
  printPlan(plan, output)
  if (flags.dryRun) {
    output.document({ ...shown, created: false })
    return
  }
  await agree(
    flags,
    { what: 'creating the cluster', why: 'it makes one cluster of running servers' },
    output,
    signal,
  )
  const created = await plan.run()
  output.document({ ...shown, created: true, ...created })
  printCreated(created, output)
}

/** Credentials alone: the nodes of a configuration, and what they are called outside, are those of a cluster that there is. */
async function credentials({ config }: CreateFlags) {
  const { natMap: _, ...access } = accessOf((await loadConfig(config)).redis)
  return access
}

function printPlan({ nodes, shortcomings, warnings, resets }: CreatePlan, output: Output): void {
  const { colors } = output
  const masters = nodes.filter(({ role }) => role === 'master')
  const replicas = nodes.length - masters.length
  output.title(`A cluster of ${masters.length} masters and ${replicas} replicas`)
  const table = new PlainTable(['master', 'host', 'bus', 'slots', 'replicas, with their hosts'], {
    right: [2],
  })
  for (const { name, host, busPort, slots } of masters) {
    const followers = nodes.filter(({ follows }) => follows === name)
    const told = followers.map((each) =>
      each.name.startsWith(each.host) ? each.name : `${each.name} (${each.host})`,
    )
    table.push([name, host, busPort, slots?.join('-') ?? '', told.join(', ') || '-'])
  }
  output.lines(table.lines())
  for (const name of resets) output.line(`${colors.yellow('reset first:')} ${name}`)
  for (const warning of warnings) output.line(`${colors.yellow('⚠ ')} ${warning}`)
  if (shortcomings.length === 0) output.line(`${colors.green('✓')} any one host may be lost`)
  else output.line(colors.yellow('⚠  not highly available:'))
  for (const shortcoming of shortcomings) output.line(`   - ${shortcoming}`)
}

function printCreated({ status, readyMs }: CreatedCluster, output: Output): void {
  output.line()
  output.line(
    output.colors.green(
      `✅ ready in ${seconds(readyMs)}: ${status.nodes.length} nodes agree, every shard has taken a write`,
    ),
  )
  const [first] = status.nodes
  if (first) output.line(`Look at it with: shardq cluster status --node ${nameOf(first)}`)
}
