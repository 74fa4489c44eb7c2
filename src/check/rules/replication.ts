import { type Check, each, groupBy, listed, plural, type Sighting } from '../check.js'
import { cli, secretSetting, toEach, toFirst } from '../commands.js'
import { hostOf, isReplica, numberOf, placeOf, type Scene, shardsOf } from '../scene.js'

/** As in the guide's alert RedisReplicationLag, in s. */
const LAG_S = 10

/** Whether each shard could lose its master now. */
export const REPLICATION = {
  'replica-link-down': {
    severity: 'error',
    about: 'a replica has no link to its master',
    why: 'It falls behind, and is not promoted when it has been so for too long; `durability: replicated` cannot be confirmed by it. cluster_state says ok all the while.',
    mend: toEach('CLUSTER REPLICATE ID-OF-ITS-MASTER'),
    find: linkDown,
  },
  'masterauth-missing': {
    severity: 'error',
    about: '`masterauth` is not set, or is not the master’s password, where there is a password',
    why: 'A replica logs in to its master with it. Without, its link never comes up and no failover happens; a master needs it too, for the day on which it becomes a replica. cluster_state says ok all the while.',
    mend: secretSetting('masterauth'),
    find: masterauthMissing,
  },
  'master-without-replica': {
    severity: 'warning',
    about: 'a master has no replica that is linked',
    why: 'Its slots are lost with it. Enqueues with `durability: replicated` are not confirmed there: tasks without a key go elsewhere, those with one wait and are rejected.',
    mend: (nodes) =>
      nodes.map(
        ({ host, port }) => `redis-cli --cluster add-node NEW-HOST:NEW-PORT ${host}:${port} --cluster-slave`,
      ),
    find: ({ cluster }) =>
      each(cluster, (node) => {
        if (isReplica(node) || node.self.slots.length === 0) return undefined
        const linked = numberOf(node, 'connected_slaves')
        return linked === 0 && 'has no replica that is linked to it'
      }),
  },
  'replica-lag': {
    severity: 'warning',
    about: `a replica has heard nothing of its master for more than ${LAG_S} s`,
    why: 'What it has not got is lost when it is promoted.',
    mend: toEach('CLIENT KILL TYPE master'),
    find: ({ live }) =>
      each(live.filter(isReplica), (node) => {
        const lagS = numberOf(node, 'master_last_io_seconds_ago')
        const up = node.info.get('master_link_status') === 'up'
        return up && lagS > LAG_S && `has heard nothing of its master for ${lagS} s`
      }),
  },
  'replica-on-its-masters-host': {
    severity: 'warning',
    about: 'all replicas of a master are on its own host, and there are other hosts',
    why: 'The loss of one machine takes the master and what should replace it.',
    mend: toFirst('CLUSTER REPLICATE ID-OF-A-MASTER-ELSEWHERE'),
    find: (scene) => {
      if (hostsOf(scene).size < 2) return []
      return shardsOf(scene).flatMap((master): Sighting[] => {
        const replicas = scene.members.filter((each) => each.line.masterId === master.id)
        if (replicas.length === 0 || replicas.some((each) => hostOf(each) !== hostOf(master))) return []
        const names = replicas.map((replica) => replica.name)
        return [{ nodes: names, seen: `${listed(names)} on the host of the master ${master.name}` }]
      })
    },
  },
  'majority-on-one-host': {
    severity: 'warning',
    about: 'half of the masters or more are on one host, and there are others',
    why: 'With that machine the majority is gone, and nothing is promoted anywhere.',
    mend: (nodes) => toFirst('CLUSTER FAILOVER')(nodes),
    find: (scene) => {
      const shards = shardsOf(scene)
      if (hostsOf(scene).size < 2) return []
      const byHost = groupBy(shards, hostOf)
      return [...byHost].flatMap(([host, on]): Sighting[] => {
        if (on.length * 2 < shards.length || on.length < 2) return []
        // Who can move the mastership away from there: a replica on another host.
        const masters = new Set(on.map(({ id }) => id))
        const away = scene.members.filter(
          (each) => masters.has(each.line.masterId ?? '') && hostOf(each) !== host,
        )
        return [
          {
            nodes: away.map(({ name }) => name).slice(0, 1),
            seen: `${on.length} of ${shards.length} masters are on ${host}`,
          },
        ]
      })
    },
  },
} satisfies Record<string, Check>

const hostsOf = ({ members }: Scene) => new Set(members.map(hostOf))

function linkDown(scene: Scene): Sighting[] {
  return scene.live.filter(isReplica).flatMap((node): Sighting[] => {
    const { name, info } = node
    if (info.get('master_link_status') === 'up') return []
    const master = `${info.get('master_host')}:${info.get('master_port')}`
    const place = placeOf(name, scene)
    if (info.get('master_sync_in_progress') === '1') {
      const seen = `${name} is still being synced from its master ${master}`
      return [{ nodes: [name], seen, mend: [cli(place, 'INFO replication')] }]
    }
    const forS = Number(info.get('master_link_down_since_seconds') ?? -1)
    const since = forS < 0 ? '' : ` for ${plural(forS, 'second')}`
    const masterId = node.view.find(({ myself }) => myself)?.masterId
    return [
      {
        nodes: [name],
        seen: `${name} has had no link to its master ${master}${since}`,
        mend: [cli(place, masterId ? `CLUSTER REPLICATE ${masterId}` : 'INFO replication')],
      },
    ]
  })
}

function masterauthMissing({ cluster }: Scene): Sighting[] {
  const secured = cluster.find(({ config }) => config?.get('requirepass'))
  const password = secured?.config?.get('requirepass')
  if (!secured || password === undefined) return []
  return each(cluster, ({ config, self }) => {
    // With a user of its own, the password is not that of requirepass, and cannot be compared.
    if (!config || config.get('masteruser')) return undefined
    const own = config.get('masterauth')
    if (own === '') return `has no masterauth, and ${secured.name} has requirepass`
    const master = cluster.find((node) => node.self.id === self.masterId)
    const wanted = master ? master.config?.get('requirepass') : password
    return own !== wanted && wanted !== undefined && 'has a masterauth that is not its master’s password'
  })
}
