import Table from 'cli-table3'
import type { Command } from 'commander'
import {
  type Address,
  type ClusterStatus,
  DEFAULT_DATA_DIR,
  inspectAny,
  localSeeds,
} from '../../cluster/index.js'
import { loadConfig } from '../../config/index.js'
import type { ConnectionOptions } from '../../connection/options.js'
import { InvalidOptionError } from '../../errors.js'
import { hostPort } from '../arguments.js'
import { type CommonOptions, runAction, withCommonOptions } from '../command.js'
import type { Output } from '../output.js'

interface StatusFlags extends CommonOptions {
  readonly node?: Address
  readonly dataDir?: string
}

export function registerClusterStatus(cluster: Command): void {
  withCommonOptions(
    cluster
      .command('status')
      .summary('show state, slots and nodes, as one node sees them')
      .description(
        'Shows state, slots and nodes of a cluster, as the first of its nodes that answers sees them.',
      ),
  )
    .option(
      '--node <host:port>',
      'the node to ask (default: the nodes of --config, or of the data folder)',
      hostPort,
    )
    .option('--data-dir <dir>', `the data folder given to \`up\` (default: ${DEFAULT_DATA_DIR})`)
    .addHelpText(
      'after',
      `
Examples:
  $ shardq cluster status
  $ shardq cluster status --node 10.0.0.5:7000
  $ shardq cluster status --json | jq .state`,
    )
    .action((flags: StatusFlags) => runAction(flags, clusterStatus))
}

async function clusterStatus(flags: StatusFlags, output: Output): Promise<void> {
  const { redis } = await loadConfig(flags.config)
  const status = await inspectAny(await nodesToAsk(flags, redis), redis)
  output.document(status)
  if (!output.json) print(status, output)
}

/** The most particular wins: a node, a data folder, a configuration file; then what lies in the current folder. */
async function nodesToAsk(flags: StatusFlags, redis: ConnectionOptions): Promise<readonly Address[]> {
  if (flags.node) return [flags.node]
  const local = flags.config === undefined ? await localSeeds(flags.dataDir) : null
  if (local) return local
  if (flags.dataDir !== undefined)
    throw new InvalidOptionError('--data-dir', `${flags.dataDir} holds no cluster`)
  if (redis.mode === 'cluster') return redis.nodes
  const { hostname, port } = new URL(redis.url)
  return [{ host: hostname, port: Number(port || 6379) }]
}

function print(status: ClusterStatus, output: Output): void {
  const { colors } = output
  const state = status.state === 'ok' ? colors.green('ok') : colors.red('fail')
  output.line(`state ${state}   slots assigned ${status.slotsAssigned}, ok ${status.slotsOk} of 16384`)
  output.line(`nodes ${status.knownNodes}   masters with slots ${status.size}   epoch ${status.currentEpoch}`)
  const table = new Table({
    head: ['node', 'role', 'slots', 'follows', 'link', 'flags'],
    // cli-table3 colours by itself, on a pipe too.
    style: { head: [], border: [], compact: true },
  })
  for (const node of status.nodes) {
    const master = status.nodes.find(({ id }) => id === node.masterId)
    table.push([
      `${node.host}:${node.port}`,
      node.role,
      [
        ...node.slots.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)),
        ...node.openSlots,
      ].join(' '),
      master ? `${master.host}:${master.port}` : '',
      node.linkState === 'connected' ? 'connected' : colors.red(node.linkState),
      node.flags.length === 0 ? '' : colors.red(node.flags.join(', ')),
    ])
  }
  output.line(table.toString())
}
