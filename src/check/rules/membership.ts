import { nameOf } from '../../cluster/link.js'
import { ALL_SLOTS, countIn } from '../../cluster/slots.js'
import { campsOf, differencesOf } from '../../cluster/views.js'
import { alike, type Check, each, groupBy, listed, plural, type Sighting } from '../check.js'
import { cli, FIX, fix, onHost, setting, start, toEach } from '../commands.js'
import { type ClusterNode, placeOf, type Scene, type Sight, shardsOf } from '../scene.js'

/** Nodes that answer us and are missed by most of the others; where nobody is missed by most, whoever is missed at all. */
function cutOff({ members, cluster, elsewhere }: Sight) {
  // A wrong address is a reason of its own.
  const known = new Set(elsewhere.map(({ node }) => node.name))
  const missed = members.filter(({ live, name, missedBy }) => live && missedBy.length > 0 && !known.has(name))
  const byMost = missed.filter(({ missedBy }) => missedBy.length * 2 > cluster.length - 1)
  return byMost.length > 0 ? byMost : missed
}

/** Who belongs to the cluster, and what the nodes believe of each other. */
export const MEMBERSHIP = {
  'config-invalid': {
    severity: 'error',
    about: 'the configuration cannot be used',
    why: 'Every program that reads it stops with this.',
    mend: () => ['shardq cluster status --config FILE'],
    find: ({ ground }) =>
      (ground.configFaults ?? []).map(({ path, message }) => ({ nodes: [], seen: `${path}: ${message}` })),
  },
  'wrong-mode': {
    severity: 'error',
    about:
      'a single server where a cluster is configured, or the other way round (the guide’s issue 3: MOVED)',
    why: 'A client for one server gets MOVED from a cluster for most keys and does not follow; one for a cluster cannot start on a single server.',
    mend: ([node]) =>
      node?.cluster
        ? [`export SHARDQ_REDIS_NODES=${node.host}:${node.port}`]
        : [`export SHARDQ_REDIS_URL=redis://${node?.host}:${node?.port}`],
    find: ({ live, ground }) =>
      each(live, ({ info }) => {
        const isCluster = info.get('cluster_enabled') === '1'
        if (ground.expected === 'cluster' && !isCluster)
          return 'is a single server, and a cluster was expected'
        return ground.expected === 'single' && isCluster && 'is a node of a cluster, and redis.mode is single'
      }),
  },
  'cluster-down': {
    severity: 'error',
    about: 'nodes say cluster_state:fail (the guide’s issue 1: "Cluster is DOWN")',
    why: 'They answer CLUSTERDOWN to everything. Slots without an owner stop all others where cluster-require-full-coverage is yes; and without most of the masters nothing can be decided, so no replica is promoted.',
    mend: fix,
    find: clusterDown,
  },
  'node-failed': {
    severity: 'error',
    about: 'the cluster has a node as failed, and it does not answer us either',
    why: 'Its shard has one node fewer: a master’s slots are served again only when a replica is promoted, and a replica cannot take over.',
    mend: start,
    find: ({ members, cluster }) =>
      members
        .filter(({ live, missedBy }) => !live && missedBy.length > 0)
        .map(({ name, line, missedBy }) => ({
          nodes: [name],
          seen: `${name} (${line.role}) is missed by ${missedBy.length} of ${plural(cluster.length, 'node')}`,
        })),
  },
  'bus-port': {
    severity: 'error',
    about: 'a node answers clients, and other nodes cannot reach its bus port',
    why: 'Nodes talk to each other on a port of their own, the data port plus 10,000 unless told otherwise. Where a firewall or a port mapping leaves it out, a healthy node is declared dead, or never joins.',
    mend: (nodes) =>
      nodes.flatMap(({ host, busPort }) => [
        `nc -vz -w 3 ${host} ${busPort}`,
        onHost(host, `sudo ufw allow ${busPort}/tcp`),
      ]),
    find: (scene) =>
      cutOff(scene).map(({ name, line, missedBy }) => {
        const open = scene.probed.bus.get(name)
        const fromHere = open === undefined ? '' : `; from here it ${open ? 'takes' : 'refuses'} connections`
        return {
          nodes: [name],
          seen: `${name} answers, but ${listed(missedBy)} cannot reach its bus port ${line.busPort}${fromHere}`,
        }
      }),
  },
  'announce-address': {
    severity: 'error',
    about: 'a node is listed under an address at which it does not answer',
    why: 'Clients follow the addresses that nodes announce. Behind NAT or in a container these are often wrong, and then only the first node is ever reached.',
    mend: ([node]) =>
      node ? [cli(node, `CONFIG SET cluster-announce-ip ${node.host}`), cli(node, 'CONFIG REWRITE')] : [],
    find: ({ elsewhere }) =>
      elsewhere.map(({ node, listed: { name } }) => ({
        nodes: [node.name],
        seen: `${node.name} answers here, and is announced as ${name}, where it does not`,
      })),
  },
  'duplicate-node-id': {
    severity: 'error',
    about: 'two processes have the same node id (a copied nodes.conf)',
    why: 'The others take them for one node whose address changes again and again. Clients are sent to either, and read and write two different sets of data, while every node says ok.',
    mend: ([, copy]) =>
      copy ? [cli(copy, 'SHUTDOWN NOSAVE')] : ['redis-cli -h HOST -p PORT-OF-THE-COPY SHUTDOWN NOSAVE'],
    find: ({ cluster }) => {
      const byId = groupBy(cluster, ({ self }) => self.id)
      return [...byId].flatMap(([id, twins]): Sighting[] =>
        twins.length < 2
          ? []
          : [
              {
                // The one that has run longer is the likelier original; the copy is named last.
                nodes: [...twins].sort((a, b) => uptime(b) - uptime(a)).map(({ name }) => name),
                seen: `${listed(twins.map(({ name }) => name))} all have the id ${id.slice(0, 8)}…`,
              },
            ],
      )
    },
  },
  'views-differ': {
    severity: 'error',
    about: 'nodes differ on who is in the cluster, who is master, or who has which slots',
    why: 'Clients are sent to and fro, or to the wrong node, while every node says ok. For some seconds after a change this is normal; it lasts after an interrupted change.',
    mend: fix,
    find: viewsDiffer,
  },
  'handshake-pending': {
    severity: 'warning',
    about: 'a node is being introduced, or is known without an address',
    why: 'A join that does not end is a bus port that cannot be reached, or a node that was forgotten and comes back.',
    mend: toEach('CLUSTER FORGET ID'),
    find: (scene) =>
      scene.cluster.flatMap(({ name, view }): Sighting[] => {
        const pending = view.filter(({ flags }) => flags.includes('handshake') || flags.includes('noaddr'))
        if (pending.length === 0) return []
        const mend = pending.map((node) =>
          node.flags.includes('noaddr')
            ? cli(placeOf(name, scene), `CLUSTER FORGET ${node.id}`)
            : `nc -vz -w 3 ${node.host} ${node.busPort}`,
        )
        return [{ nodes: [name], seen: `${name} is waiting to meet ${listed(pending.map(nameOf))}`, mend }]
      }),
  },
  'too-few-masters': {
    severity: 'warning',
    about: 'fewer than three masters have slots',
    why: 'A replica is promoted by the votes of most masters. Of two, the one that is left is not most of them.',
    mend: ([node]) => [
      `redis-cli --cluster add-node NEW-HOST:NEW-PORT ${node?.host}:${node?.port}`,
      `redis-cli --cluster rebalance ${node?.host}:${node?.port} --cluster-use-empty-masters`,
    ],
    find: (scene) => {
      const shards = shardsOf(scene)
      const [node] = scene.cluster
      if (!node || shards.length >= 3 || shards.length === 0) return []
      return [
        { nodes: shards.map(({ name }) => name), seen: `${plural(shards.length, 'master')} with slots` },
      ]
    },
  },
  'full-coverage': {
    severity: 'warning',
    about: '`cluster-require-full-coverage` is yes',
    why: 'While one shard fails over, all the others refuse commands too, for about a second. With no, they go on.',
    mend: setting('cluster-require-full-coverage', 'no'),
    find: ({ cluster }) =>
      alike(cluster, ({ config }) => {
        const strict = config?.get('cluster-require-full-coverage') === 'yes'
        return strict && 'cluster-require-full-coverage yes'
      }),
  },
} satisfies Record<string, Check>

const uptime = ({ info }: ClusterNode) => Number(info.get('uptime_in_seconds') ?? 0)

function clusterDown(scene: Scene): Sighting[] {
  const down = scene.cluster.filter(({ clusterInfo }) => clusterInfo.get('cluster_state') !== 'ok')
  if (down.length === 0) return []
  const shards = shardsOf(scene)
  const dead = shards.filter(({ live }) => !live)
  const reasons: string[] = []
  if (dead.length > 0) reasons.push(`${listed(dead.map(({ name }) => name))} with slots do not answer`)
  const noMajority = shards.length > 0 && dead.length * 2 >= shards.length
  if (noMajority) reasons.push(`so most masters are gone, and nothing can be decided without them`)
  const served = shards.reduce((sum, { line }) => sum + countIn(line.slots), 0)
  if (served < ALL_SLOTS) reasons.push(`${ALL_SLOTS - served} slots have no owner`)
  const why = reasons.length === 0 ? '' : `: ${reasons.join('; ')}`
  return [
    {
      nodes: down.map(({ name }) => name),
      seen: `${down.length} of ${plural(scene.cluster.length, 'node')} say cluster_state:fail${why}`,
      mend: dead.length > 0 ? start(dead.map(({ name }) => placeOf(name, scene))) : [FIX],
    },
  ]
}

function viewsDiffer({ observation }: Scene): Sighting[] {
  const [most, ...others] = campsOf(observation)
  return others.flatMap((camp): Sighting[] => {
    const [seen, ...more] = most ? differencesOf([most, camp]) : []
    const rest = more.length === 0 ? '' : `; and ${plural(more.length, 'difference')} more`
    return seen ? [{ nodes: camp.nodes, seen: seen + rest }] : []
  })
}
