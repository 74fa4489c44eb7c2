import { type Command, Option } from 'commander'
import { type Address, FIREWALLS, type Firewall, firewallRules, inspectAny } from '../../cluster/index.js'
import { type CommonOptions, runAction, withCommonOptions } from '../command.js'
import { findNodes, seedsOf } from '../find-nodes.js'
import { dataDirOption, nodeOption } from '../node-options.js'
import type { Output } from '../output.js'

interface FirewallFlags extends CommonOptions {
  readonly node?: Address
  readonly dataDir?: string
  readonly for: Firewall
  readonly clients: readonly string[]
}

export function registerClusterFirewall(cluster: Command): void {
  withCommonOptions(
    cluster
      .command('firewall')
      .summary('print the rules of a firewall for client and bus ports, host by host')
      .description(
        'Asks the cluster for its nodes and their ports, and prints for each host the rules that let clients to the client ' +
          'ports, nodes to client ports and bus ports, and nobody else to either. Changes nothing.',
      ),
  )
    .addOption(
      new Option('--for <firewall>', 'the language of the rules')
        .choices(FIREWALLS)
        .default('nftables' as Firewall),
    )
    .requiredOption(
      '--clients <cidr,...>',
      'networks of the clients, such as 10.1.0.0/16; may be repeated',
      networks,
    )
    .addOption(nodeOption())
    .addOption(dataDirOption())
    .addHelpText(
      'after',
      `
Nodes speak to each other on the bus port (the client port + 10000, unless cluster-port is set), and on the client port too:
replicas copy from it, and keys are moved to it. Clients need the client port alone, of every node.
Before there is a cluster: the same by hand, on every host, or no \`cluster create\` gets through.

nftables  save as a file, check with \`nft -c -f FILE\`, load with \`nft -f FILE\`; loading it again replaces it. It is a table of its
          own, and drops nothing but for these ports; what another table drops stays dropped.
ufw       the rules come in this order; those of an older list are removed by hand (\`ufw status numbered\`).
netsh     Windows blocks what no rule allows.

Examples:
  $ shardq cluster firewall --clients 10.1.0.0/16
  $ shardq cluster firewall --clients 10.1.0.0/16,192.0.2.7 --for ufw --node 10.0.0.1:7000
  $ shardq cluster firewall --clients 10.1.0.0/16 --json | jq -r '.hosts[] | select(.host == "10.0.0.1").text'`,
    )
    .action((flags: FirewallFlags) => runAction(flags, clusterFirewall))
}

const networks = (text: string, before: readonly string[] = []) => [
  ...before,
  ...text.split(',').map((each) => each.trim()),
]

async function clusterFirewall(flags: FirewallFlags, output: Output): Promise<void> {
  const { seeds, access } = seedsOf(await findNodes(flags))
  const { nodes } = await inspectAny(seeds, access)
  const hosts = firewallRules(
    nodes.filter((node) => !node.flags.includes('noaddr')),
    flags.clients,
    flags.for,
  )
  output.document({ for: flags.for, clients: flags.clients, hosts })
  const remark = flags.for === 'netsh' ? 'rem' : '#'
  for (const { host, nodes: own, text } of hosts) {
    const ports = own.map(({ port, busPort }) => `${port} (bus ${busPort})`).join(', ')
    output.line(`${remark} on ${host}, where ${own.length === 1 ? 'a node has' : 'nodes have'} ${ports}`)
    output.lines(text.split('\n'))
    output.line()
  }
}
