import { expect, it } from 'vitest'
import { FIREWALLS, firewallRules } from '../../../src/cluster/firewall.js'

const NODES = [
  { host: '10.0.0.1', port: 7001, busPort: 17_001 },
  { host: '10.0.0.1', port: 7000, busPort: 17_000 },
  // cluster-port is set here: the bus is where the node says, not where it would be.
  { host: '10.0.0.2', port: 6379, busPort: 6400 },
]
const CLIENTS = ['10.1.0.0/16', '192.0.2.7']

it('ufw: what is allowed first, then the rest is denied', () => {
  expect(firewallRules(NODES, CLIENTS, 'ufw').map(({ host, text }) => [host, ...text.split('\n')])).toEqual([
    [
      '10.0.0.1',
      "ufw allow proto tcp from 10.0.0.1 to any port 7000,7001,17000,17001 comment 'shardq nodes'",
      "ufw allow proto tcp from 10.0.0.2 to any port 7000,7001,17000,17001 comment 'shardq nodes'",
      "ufw allow proto tcp from 10.1.0.0/16 to any port 7000,7001 comment 'shardq clients'",
      "ufw allow proto tcp from 192.0.2.7 to any port 7000,7001 comment 'shardq clients'",
      "ufw deny proto tcp from any to any port 7000,7001,17000,17001 comment 'shardq others'",
    ],
    [
      '10.0.0.2',
      "ufw allow proto tcp from 10.0.0.1 to any port 6379,6400 comment 'shardq nodes'",
      "ufw allow proto tcp from 10.0.0.2 to any port 6379,6400 comment 'shardq nodes'",
      "ufw allow proto tcp from 10.1.0.0/16 to any port 6379 comment 'shardq clients'",
      "ufw allow proto tcp from 192.0.2.7 to any port 6379 comment 'shardq clients'",
      "ufw deny proto tcp from any to any port 6379,6400 comment 'shardq others'",
    ],
  ])
})

it('netsh: one rule for nodes and one for clients', () => {
  expect(firewallRules(NODES, CLIENTS, 'netsh')[1]?.text.split('\n')).toEqual([
    'netsh advfirewall firewall add rule name="shardq nodes" dir=in action=allow protocol=TCP localport=6379,6400 remoteip=10.0.0.1,10.0.0.2',
    'netsh advfirewall firewall add rule name="shardq clients" dir=in action=allow protocol=TCP localport=6379 remoteip=10.1.0.0/16,192.0.2.7',
  ])
})

it('nftables: a table of its own, both families, everybody else dropped at these ports', () => {
  const [rules] = firewallRules(
    [{ host: 'fd00::1', port: 7000, busPort: 17_000 }],
    ['10.1.0.0/16', 'fd01::/16'],
    'nftables',
  )
  expect(rules?.text).toBe(`table inet shardq
delete table inet shardq
table inet shardq {
  chain input {
    type filter hook input priority filter; policy accept;
    iif lo accept
    ip6 saddr { fd00::1 } tcp dport { 7000, 17000 } accept comment "nodes"
    ip saddr 10.1.0.0/16 tcp dport { 7000 } accept comment "clients"
    ip6 saddr fd01::/16 tcp dport { 7000 } accept comment "clients"
    tcp dport { 7000, 17000 } drop
  }
}`)
})

it.each(['10.1.0.0/33', 'fd00::/129', 'db1', '10.1.0.0/16/8', '10.1.0.0/', '10.0.0.1; reboot'])(
  'refuses %s',
  (network) => {
    for (const firewall of FIREWALLS)
      expect(() => firewallRules(NODES, [network], firewall)).toThrow('clients')
  },
)
