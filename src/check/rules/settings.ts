import { isNewEnough, versionOf } from '../../cluster/version.js'
import { alike, type Check, each, groupBy, listed, type Sighting } from '../check.js'
import { onEachHost, setting, toEach } from '../commands.js'
import type { Live, Scene } from '../scene.js'

/** Settings that are of the cluster rather than of a node. */
const OF_THE_CLUSTER = [
  ...['maxmemory', 'maxmemory-policy', 'appendonly', 'appendfsync', 'save', 'cluster-node-timeout'],
  ...['cluster-require-full-coverage', 'cluster-replica-validity-factor', 'cluster-migration-barrier'],
  ...['cluster-allow-replica-migration', 'min-replicas-to-write', 'stop-writes-on-bgsave-error'],
  ...['requirepass', 'masterauth', 'masteruser', 'tls-cluster', 'tls-replication'],
]
const SECRET = ['requirepass', 'masterauth']

/** How the servers are set up. */
export const SETTINGS = {
  'old-server': {
    severity: 'error',
    about: 'a server older than Redis 7.0 or Valkey 8.0',
    why: 'Scripts and commands that shardq uses are not there; the queue refuses to connect.',
    mend: onEachHost('sudo apt-get install --only-upgrade redis-server'),
    find: ({ live }) =>
      each(live, ({ info }) => {
        const server = versionOf(info)
        return !isNewEnough(server) && `runs ${server.flavour} ${server.version}`
      }),
  },
  'versions-differ': {
    severity: 'warning',
    about: 'nodes run different versions',
    why: 'Fine during an upgrade, replicas first. Left so, a replica may not read what a newer master sends, and some versions do not bear each other (7.0 beside 7.2: crash on restart).',
    mend: onEachHost('sudo apt-get install --only-upgrade redis-server'),
    find: ({ live }) => {
      const text = ({ info }: Live) => {
        const { flavour, version } = versionOf(info)
        return `${flavour} ${version}`
      }
      return differing(live, text)
    },
  },
  'settings-differ': {
    severity: 'warning',
    about: 'a setting that concerns the whole cluster is not the same on all nodes',
    why: 'A shard behaves otherwise after a failover than before it. CONFIG SET reaches one node, and is lost with its restart unless CONFIG REWRITE follows.',
    mend: toEach('CONFIG GET *'),
    find: settingsDiffer,
  },
  'users-differ': {
    severity: 'warning',
    about: 'the users (ACL) are not the same on all nodes',
    why: 'Users do not spread from node to node. A client that may do something on one shard is refused on another, or after a failover.',
    mend: toEach('ACL LIST'),
    find: usersDiffer,
  },
  unprotected: {
    severity: 'warning',
    about: 'no password, protected mode off, and open to other machines',
    why: 'Whoever reaches the port can read and delete everything, and run programs as the server’s user.',
    mend: setting('protected-mode', 'yes'),
    find: ({ live }) =>
      alike(live, ({ config }) => {
        if (config?.get('protected-mode') !== 'no' || config.get('requirepass') !== '') return undefined
        const bind = config.get('bind') ?? ''
        const onlyHere = bind !== '' && bind.split(' ').every((one) => /^-?(127\.|::1$)/.test(one))
        return !onlyHere && `protected-mode no, no requirepass, bind ${JSON.stringify(bind)}`
      }),
  },
  'tls-half': {
    severity: 'warning',
    about: 'TLS for clients, and not between the nodes',
    why: 'Replication and the cluster bus stay readable for whoever sits between the nodes: tls-replication and tls-cluster are settings of their own.',
    mend: (nodes) => [...setting('tls-replication', 'yes')(nodes), ...setting('tls-cluster', 'yes')(nodes)],
    find: ({ cluster }) =>
      alike(cluster, ({ config }) => {
        if (!config || Number(config.get('tls-port') ?? 0) === 0) return undefined
        const off = ['tls-replication', 'tls-cluster'].filter((name) => config.get(name) === 'no')
        return off.length > 0 && `tls-port ${config.get('tls-port')}, and ${off.join(' no, ')} no`
      }),
  },
} satisfies Record<string, Check>

/** One sighting where nodes have different texts: who has which, the most frequent first. */
function differing(nodes: readonly Live[], text: (node: Live) => string, show = (value: string) => value) {
  const groups = [...groupBy(nodes, text)].sort(([, a], [, b]) => b.length - a.length)
  if (groups.length < 2) return []
  const told = groups.map(([value, on]) => `${show(value)} on ${listed(on.map(({ name }) => name))}`)
  const others = groups.slice(1).flatMap(([, on]) => on.map(({ name }) => name))
  return [{ nodes: others, seen: told.join('; ') }]
}

function settingsDiffer({ cluster }: Scene): Sighting[] {
  const readable = cluster.filter(({ config }) => config !== undefined)
  return OF_THE_CLUSTER.flatMap((name) => {
    // A secret is compared, and never shown; nor is which nodes share one.
    const show = (value: string) =>
      SECRET.includes(name) ? (value === '' ? 'none' : 'one') : value === '' ? '""' : value
    return differing(readable, ({ config }) => config?.get(name) ?? '', show).map(({ nodes, seen }) => ({
      nodes,
      seen: `${name}: ${seen}`,
    }))
  })
}

function usersDiffer({ probed }: Scene): Sighting[] {
  const [first, ...others] = probed.users
  if (!first) return []
  const [reference, rules] = first
  return others.flatMap(([name, theirs]): Sighting[] => {
    const users = new Set([...rules.keys(), ...theirs.keys()])
    const differ = [...users].filter((user) => rules.get(user) !== theirs.get(user))
    if (differ.length === 0) return []
    return [{ nodes: [name], seen: `${name} and ${reference} differ on ${listed(differ)}` }]
  })
}
