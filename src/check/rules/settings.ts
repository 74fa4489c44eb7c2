import { copyFunctions } from '../../cluster/functions.js'
import { isNewEnough, versionOf } from '../../cluster/version.js'
import { shellWord } from '../../shell.js'
import { alike, type Check, each, groupBy, listed, type Place, type Sighting } from '../check.js'
import { cli, onEachHost, secretSetting, setting } from '../commands.js'
import { isReplica, type Live, placeOf, type Scene } from '../scene.js'
import { TLS_SETTINGS } from './tls.js'

/** Settings that are of the cluster rather than of a node. */
const OF_THE_CLUSTER = [
  ...['maxmemory', 'maxmemory-policy', 'appendonly', 'appendfsync', 'save', 'cluster-node-timeout'],
  ...['cluster-require-full-coverage', 'cluster-replica-validity-factor', 'cluster-migration-barrier'],
  ...['cluster-allow-replica-migration', 'min-replicas-to-write', 'stop-writes-on-bgsave-error'],
  ...['requirepass', 'masteruser', 'tls-cluster', 'tls-replication', 'tls-auth-clients'],
]
const SECRET = 'requirepass'

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
    mend: setting('NAME', 'VALUE'),
    find: settingsDiffer,
  },
  'users-differ': {
    severity: 'warning',
    about: 'the users (ACL) are not the same on all nodes',
    why: 'Users do not spread from node to node. A client that may do something on one shard is refused on another, or after a failover.',
    mend: ([to]) => (to ? [copyUsers({ ...to, host: 'OTHER-HOST' }, to)] : []),
    find: usersDiffer,
  },
  'functions-differ': {
    severity: 'warning',
    about: 'the libraries of functions (FUNCTION LOAD) are not the same on all masters',
    why: 'Functions do not spread from master to master. Who calls one is refused (ERR Function not found) or gets another answer, by the slot of the key.',
    mend: ([to]) => (to ? [copyAllFunctions({ ...to, host: 'OTHER-HOST' }, to)] : []),
    find: functionsDiffer,
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
  ...TLS_SETTINGS,
} satisfies Record<string, Check>

/** Where nodes have different texts: who has which, the most frequent first. */
function groupsOf(nodes: readonly Live[], text: (node: Live) => string) {
  const groups = [...groupBy(nodes, text)].sort(([, a], [, b]) => b.length - a.length)
  return groups.length < 2 ? [] : groups.map(([value, on]) => ({ value, names: on.map(({ name }) => name) }))
}

function differing(nodes: readonly Live[], text: (node: Live) => string): Sighting[] {
  const groups = groupsOf(nodes, text)
  if (groups.length === 0) return []
  const seen = groups.map(({ value, names }) => `${value} on ${listed(names)}`).join('; ')
  return [{ nodes: groups.slice(1).flatMap(({ names }) => names), seen }]
}

function settingsDiffer(scene: Scene): Sighting[] {
  const readable = scene.cluster.filter(({ config }) => config !== undefined)
  return OF_THE_CLUSTER.flatMap((name): Sighting[] => {
    const groups = groupsOf(readable, ({ config }) => config?.get(name) ?? '')
    const [most, ...others] = groups
    if (!most) return []
    // A secret is compared, and never shown.
    const shown = (value: string, index: number) => {
      if (name !== SECRET) return shellWord(value)
      return value === '' ? 'none' : index === 0 ? 'one' : 'another'
    }
    const told = groups.map(({ value, names }, index) => `${shown(value, index)} on ${listed(names)}`)
    const nodes = others.flatMap(({ names }) => names)
    const places = nodes.map((node) => placeOf(node, scene))
    const mend = name === SECRET ? secretSetting(name)(places) : asMost(name, most.value, places)
    return [{ nodes, seen: `${name}: ${told.join('; ')}`, mend }]
  })
}

/** Each by itself, for the others have it already. */
const asMost = (name: string, value: string, places: readonly Place[]) =>
  places.flatMap((place) => setting(name, shellWord(value))([place]))

function usersDiffer(scene: Scene): Sighting[] {
  return differFromMost([...scene.probed.users], scene, copyUsers)
}

type Known = readonly [node: string, things: ReadonlyMap<string, string>]

/** From the node that knows most: what the others lack can be copied, what they have beyond it cannot be guessed. */
function differFromMost(
  known: readonly Known[],
  scene: Scene,
  copy: (from: Place, to: Place) => string,
): Sighting[] {
  const [first, ...others] = [...known].sort(([, a], [, b]) => b.size - a.size)
  if (!first) return []
  const [reference, most] = first
  return others.flatMap(([name, theirs]): Sighting[] => {
    const differ = [...new Set([...most.keys(), ...theirs.keys()])].filter(
      (thing) => most.get(thing) !== theirs.get(thing),
    )
    if (differ.length === 0) return []
    const mend = [copy(placeOf(reference, scene), placeOf(name, scene))]
    return [{ nodes: [name], seen: `${name} and ${reference} differ on ${listed(differ)}`, mend }]
  })
}

/** Passwords go as hashes, and through a pipe, so that no list of processes shows them. */
const copyUsers = (from: Place, to: Place) =>
  `${cli(from, 'ACL LIST')} | sed 's/^user \\([^ ]*\\)/ACL SETUSER \\1 reset/' | ${cli(to, '').trimEnd()}`

/** Of masters: replicas have what their masters have. */
function functionsDiffer(scene: Scene): Sighting[] {
  const masters = new Set(scene.cluster.filter((node) => !isReplica(node)).map(({ name }) => name))
  const known = [...scene.probed.functions].filter(([name]) => masters.has(name))
  return differFromMost(known, scene, copyAllFunctions)
}

const copyAllFunctions = (from: Place, to: Place) => copyFunctions(from, to, { tls: to.tls })
