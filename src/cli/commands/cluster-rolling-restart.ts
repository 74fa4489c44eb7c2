import type { Command } from 'commander'
import {
  type Address,
  describeRoll,
  type PlannedRoll,
  planRolling,
  type RollingOptions,
  type RollProgress,
  type RollReport,
  type RollStep,
} from '../../cluster/index.js'
import { agree } from '../agree.js'
import { wholeNumber } from '../arguments.js'
import { type CommonOptions, runAction, withCommonOptions } from '../command.js'
import { seconds } from '../figures.js'
import { localDirOf } from '../find-cluster.js'
import { findNodes, seedsOf } from '../find-nodes.js'
import { dataDirOption, nodeOption } from '../node-options.js'
import type { Output } from '../output.js'

interface RollingFlags extends CommonOptions {
  readonly node?: Address
  readonly dataDir?: string
  readonly redisPath?: string
  readonly restartCommand?: string
  readonly supervised?: boolean
  readonly restoreRoles?: boolean
  readonly rewrite?: boolean
  readonly acceptFiles?: boolean
  readonly anew?: boolean
  readonly comeBackMs?: number
  readonly dryRun?: boolean
  readonly yes?: boolean
}

export function registerClusterRollingRestart(cluster: Command): void {
  withCommonOptions(
    cluster
      .command('rolling-restart')
      .summary('restart every node, one after the other, while the cluster serves; also to a new server')
      .description(
        'Restarts the nodes one after the other: replicas first, then each master, once a replica has taken its place. ' +
          'Between two steps every node agrees, every replica is linked and has caught up, and each shard has taken a ' +
          'write; where that is not so it stops and says why. Broken off at any moment, it goes on when it is run again.',
      ),
  )
    .addOption(nodeOption())
    .addOption(dataDirOption())
    .option('--redis-path <path>', 'server to restart to, or its folder: an upgrade of a local cluster')
    .option(
      '--restart-command <command>',
      'what restarts a node elsewhere; {host}, {port}, {id} are filled in',
    )
    .option('--supervised', 'nodes elsewhere come back by themselves when they are shut down')
    .option('--restore-roles', 'masters get their shards back in the end, by one more failover each')
    .option(
      '--rewrite',
      'first have every node write down what CONFIG SET and ACL SETUSER have told it; not over edits of files that can be seen',
    )
    .option('--accept-files', 'go on where a node comes back otherwise than it was: its files are right')
    .option('--anew', 'begin anew, and do not go on with one that was broken off')
    .option(
      '--come-back-ms <ms>',
      'longest wait for a node to be back and the cluster whole (default: 120000)',
      wholeNumber(1_000),
    )
    .option('--dry-run', 'show the steps, change nothing')
    .option('--yes', 'do not ask')
    .addHelpText(
      'after',
      `
Exit codes: 0 every node is done; 1 it stopped, and says at what and what to do; 2 wrong usage.
Ctrl-C ends it after the step under way. Run again it goes on, also after a crash; nodes that are done are left alone.

Examples:
  $ shardq cluster rolling-restart --dry-run
  $ shardq cluster rolling-restart
  $ shardq cluster rolling-restart --redis-path /opt/valkey-8/bin --yes
  $ shardq cluster rolling-restart --node 10.0.0.5:7000 --supervised
  $ shardq cluster rolling-restart --node 10.0.0.5:7000 --restart-command 'ssh {host} sudo systemctl restart redis@{port}'`,
    )
    .action((flags: RollingFlags) => runAction(flags, clusterRollingRestart))
}

async function clusterRollingRestart(
  flags: RollingFlags,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const { seeds, access } = seedsOf(await findNodes(flags))
  const dataDir = await localDirOf(flags)
  const { redisPath, restartCommand, supervised, restoreRoles, rewrite, acceptFiles, anew, comeBackMs } =
    flags
  const options: RollingOptions = {
    ...access,
    signal,
    onProgress: (progress) => printProgress(progress, output),
    ...(dataDir === null ? {} : { dataDir }),
    ...(redisPath === undefined ? {} : { redisPath }),
    ...(restartCommand === undefined ? {} : { restartCommand }),
    ...(supervised === undefined ? {} : { supervised }),
    ...(restoreRoles === undefined ? {} : { restoreRoles }),
    ...(rewrite === undefined ? {} : { rewrite }),
    ...(acceptFiles === undefined ? {} : { acceptFiles }),
    ...(anew === undefined ? {} : { anew }),
    ...(comeBackMs === undefined ? {} : { comeBackMs }),
  }
  const plan = await planRolling(seeds, options)
  printPlan(plan, output)
  const { server, continues } = plan
  const planned = plan.steps.map(({ step, words }) => ({ ...stepDocument(step), words }))
  if (flags.dryRun) {
    output.document({ continues, server, steps: planned, done: [] })
    return
  }
  const what = { what: 'the rolling restart', why: 'a rolling restart stops and starts running servers' }
  await agree(flags, what, output, signal)
  output.line()
  const report = await plan.run({ evenIfChanged: flags.yes === true })
  printReport(report, output)
  output.document({
    continues,
    server,
    ...report,
    steps: report.steps.map(({ step, ms }) => ({ ...stepDocument(step), ms })),
  })
  process.exitCode = report.interrupted ? 1 : 0
}

const stepDocument = (step: RollStep) => ({
  kind: step.kind,
  what: describeRoll(step),
  ...(step.kind === 'restart' ? { node: step.node.name } : { from: step.from.name, to: step.to.name }),
})

function printPlan({ steps, nodes, server, continues }: PlannedRoll, output: Output): void {
  const to = server ? `, to ${server.flavour} ${server.version}` : ''
  output.title(`Rolling restart of ${nodes.length} nodes${to}`)
  if (continues !== null) output.line(`goes on with the one that began ${continues}`)
  for (const [index, { step, words }] of steps.entries()) {
    output.line(`  ${index + 1}. ${describeRoll(step)}`)
    output.line(output.colors.dim(`       ${words}`))
  }
}

function printProgress(progress: RollProgress, output: Output): void {
  if (progress.state === 'note') output.line(`  ${progress.text}`)
  if (progress.state === 'done')
    output.line(`${output.colors.green('✓')} ${describeRoll(progress.step)} (${seconds(progress.ms)})`)
}

function printReport({ done, left, interrupted }: RollReport, output: Output): void {
  output.line(
    interrupted
      ? `stopped; ${done.length} of ${done.length + left.length} nodes are done; run it again to go on`
      : `${output.colors.green('✅')} all ${done.length} nodes are done; every node agrees, every replica has caught up`,
  )
}
