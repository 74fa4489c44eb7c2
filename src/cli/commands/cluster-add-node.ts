import { type Command, InvalidArgumentError } from 'commander'
import {
  type AddOptions,
  type AddReport,
  type Address,
  type AddStep,
  addLocalNodes,
  addNodes,
  nameOf,
  rolesFor,
} from '../../cluster/index.js'
import { InvalidOptionError } from '../../errors.js'
import { hostPort, wholeNumber } from '../arguments.js'
import { printRebalanced, progressLine } from '../balance-report.js'
import { type CommonOptions, runAction, withCommonOptions } from '../command.js'
import { isLocal } from '../find-local.js'
import { findNodes, seedsOf } from '../find-nodes.js'
import { printLeft } from '../left-report.js'
import { leaveUnprotectedOption, type UnprotectedFlag, unprotectedOf } from '../moving-options.js'
import { dataDirOption, nodeOption } from '../node-options.js'
import type { Output } from '../output.js'
import { ProgressLine } from '../progress-line.js'

interface AddFlags extends CommonOptions, UnprotectedFlag {
  readonly node?: Address
  readonly dataDir?: string
  readonly masters?: number
  readonly replicasPerMaster?: number
  readonly replicaOf?: string
  readonly port?: number
  readonly redisPath?: string
  readonly rebalance?: boolean
  readonly waitMs?: number
}

export function registerClusterAddNode(cluster: Command): void {
  withCommonOptions(
    cluster
      .command('add-node')
      .summary('add masters or replicas to a cluster that runs')
      .description(
        'Without an address: starts new nodes of the local cluster, by default one master and as many replicas for it as ' +
          'the others have. With addresses: adds servers that run already and are empty. Returns when every node knows ' +
          'them. Masters have no slots until a rebalance.',
      ),
  )
    .argument('[host:port...]', 'servers that run, are empty and have cluster-enabled yes')
    .addOption(nodeOption())
    .addOption(dataDirOption())
    .option('--masters <n>', 'how many masters to start (default: 1)', wholeNumber(1))
    .option(
      '--replicas-per-master <n>',
      'replicas for each new master (default: as `up`; with addresses 0: all become masters)',
      wholeNumber(0),
    )
    .option(
      '--replica-of <host:port>',
      'replicas of this master, or `auto`: of that which needs one most',
      master,
    )
    .option('--port <port>', 'first port of the new nodes (default: those after the highest)', wholeNumber(1))
    .option('--redis-path <path>', 'server binary, or its folder (default: what the other nodes run on)')
    .option('--rebalance', 'then give the new masters their share of the slots')
    .addOption(leaveUnprotectedOption())
    .option('--wait-ms <ms>', 'longest wait for nodes to agree (default: 20000)', wholeNumber(0))
    .addHelpText(
      'after',
      `
A server is refused that has keys, belongs to another cluster, or has the id of another node. What was cut off may be typed again.

Examples:
  $ shardq cluster add-node                                          one more master with its replicas
  $ shardq cluster add-node --masters 2 --rebalance                  two, and their share of the slots
  $ shardq cluster add-node --replica-of auto                        one more replica, where it is needed most
  $ shardq cluster add-node 10.0.0.7:7000 10.0.0.8:7000 --node 10.0.0.5:7000 --replicas-per-master 1
  $ shardq cluster add-node 10.0.0.9:7000 --node 10.0.0.5:7000 --replica-of 10.0.0.7:7000`,
    )
    .action((addresses: string[], flags: AddFlags) =>
      runAction(flags, (flags, output, signal) => clusterAddNode(addresses, flags, output, signal)),
    )
}

function master(text: string): string {
  if (text !== 'auto' && !/^\S+:\d+$|^[0-9a-f]{40}$/.test(text))
    throw new InvalidArgumentError('expected HOST:PORT of a master, or auto')
  return text
}

async function clusterAddNode(
  addresses: readonly string[],
  flags: AddFlags,
  output: Output,
  signal: AbortSignal,
): Promise<void> {
  const line = new ProgressLine(output, true)
  const options: AddOptions = {
    signal,
    onStep: (step) => output.line(describe(step, output)),
    ...(flags.waitMs === undefined ? {} : { agreeMs: flags.waitMs }),
    ...(flags.rebalance
      ? {
          rebalance: { ...unprotectedOf(flags), onProgress: (progress) => line.show(progressLine(progress)) },
        }
      : {}),
  }
  const adding = addresses.length > 0 ? addThese(addresses, flags, options) : addNew(flags, options)
  printReport(await adding.finally(() => line.keep()), output)
}

async function addThese(names: readonly string[], flags: AddFlags, options: AddOptions): Promise<AddReport> {
  for (const option of ['masters', 'port', 'redisPath'] as const)
    if (flags[option] !== undefined)
      throw new InvalidOptionError(
        `--${option === 'redisPath' ? 'redis-path' : option}`,
        'it is for nodes that are started here',
      )
  const found = seedsOf(await findNodes(flags))
  const addresses = names.map(hostPort)
  const { access } = found
  // A node of the data folder that was reset is to be taken back by the others.
  const others = found.seeds.filter((seed) => !addresses.some((each) => nameOf(each) === nameOf(seed)))
  const seeds = others.length > 0 ? others : found.seeds
  const { replicaOf, replicasPerMaster = 0 } = flags
  const nodes =
    replicaOf === undefined
      ? rolesFor(addresses, replicasPerMaster)
      : addresses.map((address) => ({ ...address, replicaOf }))
  return addNodes(seeds, nodes, { ...access, ...options })
}

async function addNew(flags: AddFlags, options: AddOptions): Promise<AddReport> {
  if (!(await isLocal(flags)))
    throw new InvalidOptionError(
      'host:port',
      'only nodes of a cluster that `up` has created can be started here; name servers that run',
    )
  const { dataDir, masters, replicasPerMaster, replicaOf, port, redisPath } = flags
  return addLocalNodes({
    ...options,
    ...(dataDir === undefined ? {} : { dataDir }),
    ...(masters === undefined ? {} : { masters }),
    ...(replicasPerMaster === undefined ? {} : { replicasPerMaster }),
    ...(replicaOf === undefined ? {} : { replicaOf }),
    ...(port === undefined ? {} : { port }),
    ...(redisPath === undefined ? {} : { redisPath }),
  })
}

function describe(step: AddStep, { colors }: Output): string {
  const done = colors.green('✓')
  switch (step.step) {
    case 'started':
      return `${done} ${step.node} started (pid ${step.pid})`
    case 'set':
      return `${done} ${step.node} has ${step.settings.join(' and ')} as the others have`
    case 'users':
      return `${done} ${step.node} has the users that the others have: ${step.users.join(', ')}`
    case 'functions':
      return `${done} ${step.node} has the functions that the others have: ${step.libraries.join(', ')}`
    case 'joined':
      return `${done} ${step.node} is known to all`
    case 'follows':
      return `${done} ${step.node} is a replica of ${step.master}, and has its data`
  }
}

function printReport(report: AddReport, output: Output): void {
  const { added, warnings, left, rebalance } = report
  for (const warning of warnings) output.line(`${output.colors.yellow('!')} ${warning}`)
  output.document(report)
  const isDone = !rebalance || (!rebalance.interrupted && rebalance.left.length === 0)
  process.exitCode = isDone && left.length === 0 ? 0 : 1
  if (rebalance) {
    printRebalanced(rebalance, output)
  } else if (added.some(({ replicaOf }) => replicaOf === null)) {
    output.line('New masters have no slots yet; give them their share with: shardq cluster rebalance')
  }
  printLeft(left, output)
}
