import type { Command } from 'commander'
import {
  type Address,
  InterruptedError,
  type PlannedRemoval,
  planLocalRemoval,
  planRemoval,
  type RemoveOptions,
  type RemoveStep,
} from '../../cluster/index.js'
import { agree } from '../agree.js'
import { wholeNumber } from '../arguments.js'
import { printPlan, progressLine } from '../balance-report.js'
import { type CommonOptions, runAction, withCommonOptions } from '../command.js'
import { isLocal } from '../find-local.js'
import { findNodes, seedsOf } from '../find-nodes.js'
import { printLeft } from '../left-report.js'
import { type BigKeyFlags, bigKeyMbOption, bigKeysOf, bigKeysOption } from '../moving-options.js'
import { dataDirOption, nodeOption } from '../node-options.js'
import type { Output } from '../output.js'
import { ProgressLine } from '../progress-line.js'

interface RemoveFlags extends CommonOptions, BigKeyFlags {
  readonly node?: Address
  readonly dataDir?: string
  readonly withReplicas?: boolean
  readonly leaveUnprotected?: boolean
  readonly dryRun?: boolean
  readonly yes?: boolean
  readonly waitMs?: number
}

export function registerClusterRemoveNode(cluster: Command): void {
  withCommonOptions(
    cluster
      .command('remove-node')
      .summary('remove a master or a replica from a cluster that runs')
      .description(
        'Moves the slots of a master to the others first, gives its replicas to the masters that need them most, and has ' +
          'every node forget it. A node of the local cluster is ended and its folder removed; a server elsewhere runs on, ' +
          'empty. Shows what it will do, and asks.',
      ),
  )
    .argument('<host:port>', 'the node to remove, or its id')
    .addOption(nodeOption())
    .addOption(dataDirOption())
    .option('--with-replicas', 'remove its replicas too')
    .option('--leave-unprotected', 'also where a master is left without a replica')
    .option('--dry-run', 'show what would be done, change nothing')
    .option('--yes', 'do not ask')
    .addOption(bigKeysOption())
    .addOption(bigKeyMbOption())
    .option('--wait-ms <ms>', 'longest wait for nodes to agree (default: 20000)', wholeNumber(0))
    .addHelpText(
      'after',
      `
Refused: one of the last three masters, the only replica of a master, and any node while another does not answer: that one would
make it known again. A node that is gone already: shardq cluster fix --forget HOST:PORT
May be stopped at any moment, or killed; the same command goes on.

Examples:
  $ shardq cluster remove-node 127.0.0.1:7006 --dry-run
  $ shardq cluster remove-node 127.0.0.1:7006                    its replica goes where it is needed most
  $ shardq cluster remove-node 127.0.0.1:7006 --with-replicas --yes
  $ shardq cluster remove-node 10.0.0.7:7000 --node 10.0.0.5:7000`,
    )
    .action((name: string, flags: RemoveFlags) =>
      runAction(flags, (flags, output, signal) => clusterRemoveNode(name, flags, output, signal)),
    )
}

async function clusterRemoveNode(
  name: string,
  flags: RemoveFlags,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const line = new ProgressLine(output, true)
  const { withReplicas, leaveUnprotected, waitMs } = flags
  const plan = await planFor(name, flags, {
    signal,
    onProgress: (progress) => line.show(progressLine(progress)),
    onStep: (step) => {
      line.keep()
      output.line(describe(step, output))
    },
    ...(withReplicas === undefined ? {} : { withReplicas }),
    ...(leaveUnprotected === undefined ? {} : { leaveUnprotected }),
    ...bigKeysOf(flags),
    ...(waitMs === undefined ? {} : { agreeMs: waitMs }),
  })
  if (signal.aborted) throw new InterruptedError('the look')
  const { run, ...shown } = plan
  printRemoval(plan, output)
  if (flags.dryRun) {
    output.document(shown)
    return
  }
  await agree(
    flags,
    { what: 'the removal', why: 'a removal takes a node out of a running cluster' },
    output,
    signal,
  )
  output.line()
  const report = await run({ evenIfChanged: flags.yes === true }).finally(() => line.keep())
  output.document({ ...shown, ...report })
  printLeft(report.left, output)
  process.exitCode = report.left.length > 0 ? 1 : 0
  if (report.removed.length > 0) output.line(output.colors.green(`✅ removed: ${report.removed.join(', ')}`))
}

async function planFor(name: string, flags: RemoveFlags, options: RemoveOptions): Promise<PlannedRemoval> {
  if (await isLocal(flags))
    return planLocalRemoval(name, {
      ...options,
      ...(flags.dataDir === undefined ? {} : { dataDir: flags.dataDir }),
    })
  const { seeds, access } = seedsOf(await findNodes(flags))
  return planRemoval(seeds, name, { ...access, ...options })
}

function printRemoval({ role, removes, rehomes, moves }: PlannedRemoval, output: Output): void {
  const [node, ...replicas] = [...removes].reverse()
  const also = replicas.length === 0 ? '' : `, with its replicas ${replicas.join(', ')}`
  output.title(`Remove ${role} ${node}${also}`)
  if (moves) printPlan(moves, output)
  for (const { replica, master } of rehomes) output.line(`replica ${replica} goes to ${master}`)
}

function describe(step: RemoveStep, { colors }: Output): string {
  const done = colors.green('✓')
  switch (step.step) {
    case 'emptied':
      return `${done} ${step.node} has no slots any more`
    case 'follows':
      return `${done} ${step.node} is a replica of ${step.master}, and has its data`
    case 'forgotten':
      return `${done} ${step.node} is forgotten by all`
    case 'reset':
      return `${done} ${step.node} has no keys, and knows nobody any more`
    case 'ended':
      return `${done} ${step.node} is ended, and its folder removed`
  }
}
