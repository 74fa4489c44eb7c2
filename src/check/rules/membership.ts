import { nameOf } from '../../cluster/link.js'
import { ALL_SLOTS, countIn } from '../../cluster/slots.js'
import { calledBy, campsOf, differencesOf } from '../../cluster/views.js'
import { addressText } from '../../connection/host.js'
import { alike, type Check, each, groupBy, listed, plural, type Sighting } from '../check.js'
import { cli, FIX, fix, onHost, setting, start, type } from '../commands.js'
import { type ClusterNode, placeOf, type Scene, type Sight, shardsOf } from '../scene.js'
import {
  hasNoAddress,
  introductions,
  LOST_NODES,
  leftOut,
  ownersWithoutAddress,
  takeOver,
} from './lost-nodes.js'

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
        ? [`export SHARDQ_REDIS_NODES=${addressText(node)}`]
        : [`export SHARDQ_REDIS_URL=redis://${node && addressText(node)}`],
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
    find: (scene) => [
      ...ownersWithoutAddress(scene),
      ...scene.members
        .filter((member) => !member.live && member.missedBy.length > 0 && !hasNoAddress(member))
        .map(({ name, line, missedBy }) => ({
          nodes: [name],
          seen: `${name} (${line.role}) is missed by ${missedBy.length} of ${plural(scene.cluster.length, 'node')}`,
        })),
    ],
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
      elsewhere
        .filter(({ by }) => by === 'itself')
        .map(({ node, listed: { name } }) => ({
          nodes: [node.name],
          seen: `${node.name} answers here, and is announced as ${name}, where it does not`,
        })),
  },
  ...LOST_NODES,
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
    why: 'A join that does not end is a bus port that cannot be reached. One without an address was forgotten and comes back, or was reset and is another node by now.',
    mend: type('shardq cluster fix --forget ID'),
    find: (scene) => [...introduced(scene), ...withoutAddress(scene)],
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

function introduced(scene: Scene): Sighting[] {
  return scene.cluster.flatMap(({ name, view }): Sighting[] => {
    const pending = view.filter(({ flags }) => flags.includes('handshake'))
    if (pending.length === 0) return []
    const mend = pending.map((node) => `nc -vz -w 3 ${node.host} ${node.busPort}`)
    return [{ nodes: [name], seen: `${name} is waiting to meet ${listed(pending.map(nameOf))}`, mend }]
  })
}

/** Once for each such node, whoever knows it so. One that owns slots must not be forgotten: they would have no owner. */
function withoutAddress(scene: Scene): Sighting[] {
  const byId = new Map<string, { by: string[]; line: ClusterNode['self'] }>()
  for (const { name, view } of scene.cluster)
    for (const line of view.filter(({ flags }) => flags.includes('noaddr'))) {
      const known = byId.get(line.id)
      if (known) known.by.push(name)
      else byId.set(line.id, { by: [name], line })
    }
  return [...byId].flatMap(([id, { by, line }]): Sighting[] => {
    const member = scene.members.find((each) => each.id === id)
    if (member && !member.live && member.line.slots.length > 0) return []
    // It lives, and only has to be told of once more.
    const mend = member?.live
      ? by.map((name) => cli(placeOf(name, scene), `CLUSTER MEET ${meetingPointOf(member.live?.address)}`))
      : [`shardq cluster fix --forget ${id}`]
    return [
      {
        nodes: by,
        seen: `${listed(by)} ${by.length === 1 ? 'knows' : 'know'} ${calledBy(line)} still`,
        mend,
      },
    ]
  })
}

const meetingPointOf = (address: { host: string; port: number } | undefined) =>
  `${address?.host} ${address?.port}`

const uptime = ({ info }: ClusterNode) => Number(info.get('uptime_in_seconds') ?? 0)

function clusterDown(scene: Scene): Sighting[] {
  const out = leftOut(scene)
  const nodes = scene.cluster.filter((node) => !out.includes(node))
  const down = nodes.filter(({ clusterInfo }) => clusterInfo.get('cluster_state') !== 'ok')
  if (down.length === 0) return []
  const shards = shardsOf(scene)
  const dead = shards.filter(({ live }) => !live)
  const reasons: string[] = []
  if (dead.length > 0)
    reasons.push(`${listed(dead.map(({ line }) => calledBy(line)))} with slots do not answer`)
  const noMajority = shards.length > 0 && dead.length * 2 >= shards.length
  if (noMajority) reasons.push(`so most masters are gone, and nothing can be decided without them`)
  const served = shards.reduce((sum, { line }) => sum + countIn(line.slots), 0)
  if (served < ALL_SLOTS) reasons.push(`${ALL_SLOTS - served} slots have no owner`)
  const [alone] = nodes.length === 1 && scene.members.length > 1 ? nodes : []
  if (alone) reasons.push('all that it knows may run under other addresses, and then have to be introduced')
  const why = reasons.length === 0 ? '' : `: ${reasons.join('; ')}`
  return [
    {
      nodes: down.map(({ name }) => name),
      seen: `${down.length} of ${plural(nodes.length, 'node')} say cluster_state:fail${why}`,
      mend: mendDown(scene, dead, alone),
    },
  ]
}

function mendDown(scene: Scene, dead: Sight['members'], alone: ClusterNode | undefined): readonly string[] {
  const introduce = introductions(scene)
  if (introduce.length > 0) return introduce
  const lost = dead.filter(hasNoAddress)
  const started = start(
    dead.filter((member) => !lost.includes(member)).map(({ name }) => placeOf(name, scene)),
  )
  const commands = [
    ...started,
    ...(alone ? [cli(placeOf(alone.name, scene), 'CLUSTER MEET NEW-HOST NEW-PORT')] : []),
    ...lost.flatMap((member) => takeOver(member, scene)),
  ]
  return commands.length > 0 ? commands : [FIX]
}

function viewsDiffer(scene: Scene): Sighting[] {
  const out = leftOut(scene).map(({ name }) => name)
  const { observation } = scene
  const nodes = observation.nodes.filter(({ name }) => !out.includes(name))
  const [most, ...others] = campsOf({ ...observation, nodes })
  return others.flatMap((camp): Sighting[] => {
    const [seen, ...more] = most ? differencesOf([most, camp]) : []
    const rest = more.length === 0 ? '' : `; and ${plural(more.length, 'difference')} more`
    return seen ? [{ nodes: camp.nodes, seen: seen + rest }] : []
  })
}
