import { isIP } from 'node:net'
import { InvalidOptionError } from '../errors.js'

/** The ports of a node, as other nodes know them. */
export interface FirewalledNode {
  /** An address of numbers. */
  readonly host: string
  readonly port: number
  readonly busPort: number
}

export const FIREWALLS = ['nftables', 'ufw', 'netsh'] as const
export type Firewall = (typeof FIREWALLS)[number]

/** What one host is to be told. */
export interface HostRules {
  readonly host: string
  /** Nodes on it. */
  readonly nodes: readonly FirewalledNode[]
  /** A file for `nft -f`, or commands, one a line. */
  readonly text: string
}

/**
 * The rules that let clients to the client ports, and nodes to client ports (replication, moving of keys) and bus ports, and
 * nobody else to either. All other ports are left as they are. Prints only; nothing is changed.
 * @param clients networks or addresses of clients, in CIDR: `10.1.0.0/16`
 * @throws InvalidOptionError when one of them is none, or when no other machine could reach the nodes anyway
 */
export function firewallRules(
  nodes: readonly FirewalledNode[],
  clients: readonly string[],
  firewall: Firewall,
): HostRules[] {
  for (const client of clients) checkNetwork(client)
  for (const { host } of nodes) {
    if (isIP(host) === 0)
      throw new InvalidOptionError(
        'nodes',
        `the cluster knows ${host} by no address of numbers yet; try again`,
      )
  }
  const hosts = [...new Set(nodes.map(({ host }) => host))].sort()
  return hosts.map((host) => {
    const own = nodes.filter((node) => node.host === host)
    const ports: Ports = {
      client: sorted(own.map(({ port }) => port)),
      bus: sorted(own.map(({ busPort }) => busPort)),
    }
    return { host, nodes: own, text: WRITERS[firewall](ports, hosts, clients) }
  })
}

interface Ports {
  readonly client: readonly number[]
  readonly bus: readonly number[]
}

type Writer = (ports: Ports, nodes: readonly string[], clients: readonly string[]) => string

const sorted = (ports: readonly number[]) => [...new Set(ports)].sort((a, b) => a - b)

function checkNetwork(network: string): void {
  const [address = '', bits, ...rest] = network.split('/')
  const family = isIP(address)
  const most = family === 6 ? 128 : 32
  const wrong = family === 0 || rest.length > 0 || (bits !== undefined && !/^\d+$/.test(bits))
  if (wrong || Number(bits ?? 0) > most)
    throw new InvalidOptionError('clients', `${network} is no network, such as 10.1.0.0/16 or fd00::/8`)
}

const isV6 = (network: string) => network.includes(':')

/** A table of its own, replaced as a whole, so that it can be loaded again after a change; drops nothing but for these ports. */
function nftables({ client, bus }: Ports, nodes: readonly string[], clients: readonly string[]): string {
  const v4 = (all: readonly string[]) => all.filter((each) => !isV6(each))
  const v6 = (all: readonly string[]) => all.filter(isV6)
  const set = (ports: readonly number[]) => `{ ${ports.join(', ')} }`
  const from = (family: 'ip' | 'ip6', source: string, ports: readonly number[], why: string) =>
    `${family} saddr ${source} tcp dport ${set(ports)} accept comment "${why}"`
  const fromSet = (family: 'ip' | 'ip6', sources: readonly string[]) =>
    sources.length === 0 ? [] : [from(family, `{ ${sources.join(', ')} }`, [...client, ...bus], 'nodes')]
  const rules = [
    'iif lo accept',
    ...fromSet('ip', v4(nodes)),
    ...fromSet('ip6', v6(nodes)),
    // Not as a set: networks that lie within each other are none to nft.
    ...clients.map((network) => from(isV6(network) ? 'ip6' : 'ip', network, client, 'clients')),
    `tcp dport ${set([...client, ...bus])} drop`,
  ]
  return [
    'table inet shardq',
    'delete table inet shardq',
    'table inet shardq {',
    '  chain input {',
    '    type filter hook input priority filter; policy accept;',
    ...rules.map((rule) => `    ${rule}`),
    '  }',
    '}',
  ].join('\n')
}

/** The first rule that fits decides, so what is allowed comes first. */
function ufw({ client, bus }: Ports, nodes: readonly string[], clients: readonly string[]): string {
  const allow = (sources: readonly string[], ports: readonly number[], why: string) =>
    sources.map(
      (from) => `ufw allow proto tcp from ${from} to any port ${ports.join(',')} comment 'shardq ${why}'`,
    )
  return [
    ...allow(nodes, [...client, ...bus], 'nodes'),
    ...allow(clients, client, 'clients'),
    `ufw deny proto tcp from any to any port ${[...client, ...bus].join(',')} comment 'shardq others'`,
  ].join('\n')
}

/** Nothing is blocked expressly: Windows blocks what no rule allows, and a rule that blocks would beat those that allow. */
function netsh({ client, bus }: Ports, nodes: readonly string[], clients: readonly string[]): string {
  const rule = (name: string, ports: readonly number[], sources: readonly string[]) =>
    sources.length === 0
      ? []
      : [
          `netsh advfirewall firewall add rule name="shardq ${name}" dir=in action=allow protocol=TCP localport=${ports.join(',')} remoteip=${sources.join(',')}`,
        ]
  return [...rule('nodes', [...client, ...bus], nodes), ...rule('clients', client, clients)].join('\n')
}

const WRITERS = { nftables, ufw, netsh } satisfies Record<Firewall, Writer>
