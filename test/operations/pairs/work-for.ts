import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { type Address, account, type ClusterStatus, nameOf, USUAL_ROLES } from '../../../src/cluster/index.js'
import { Random } from '../../chaos/storm/random.js'
import type { Servers } from '../common/servers.js'
import type { Work } from '../common/work.js'
import type { Choice } from './choose.js'

/** What is there when two operators begin. */
export interface Place {
  readonly servers: Servers
  readonly status: ClusterStatus
  /** For backups that are made. */
  readonly folder: string
  /** A backup of this cluster. */
  readonly backup: string
  readonly restartCommand: string
  readonly redisPath: string | undefined
}

/** What they type, of the cluster as it is. */
export function workFor({ operation, seed }: Choice, place: Place): Work {
  const random = new Random(seed)
  const { servers, status } = place
  const { cluster, spares } = servers
  const isMember = (address: Address) => status.nodes.some((node) => nameOf(node) === nameOf(address))
  const masters = status.nodes.filter(({ role }) => role === 'master')
  switch (operation) {
    case 'fix':
      return { operation }
    case 'rebalance': {
      // In twentieths: from a fifth to twice its share.
      const weights = masters.map(({ id }) => [id, random.between(4, 40) / 20])
      return { operation, weights: Object.fromEntries(weights) }
    }
    case 'add-node': {
      const outside = spares.filter((spare) => !isMember(spare))
      const [first, second] = random.shuffle(outside.length > 0 ? outside : spares)
      if (!first) throw new Error('there is no server to add')
      if (!second) return { operation, nodes: [{ ...first, replicaOf: 'auto' }] }
      const replica = { ...second, replicaOf: random.next() < 0.5 ? nameOf(first) : 'auto' }
      return { operation, nodes: [first, replica] }
    }
    case 'remove-node': {
      const inside = spares.filter(isMember)
      const node = random.pick(inside.length > 0 ? inside : spares)
      return { operation, node, withReplicas: random.next() < 0.3 }
    }
    case 'rolling-restart': {
      const how = spares.some(isMember)
        ? { restartCommand: place.restartCommand }
        : { dataDir: cluster.dataDir }
      return { operation, how: random.next() < 0.3 ? { ...how, rewrite: true } : how }
    }
    case 'backup':
      return { operation, folder: join(place.folder, `backup-${seed}`) }
    case 'restore': {
      const { redisPath, backup: folder } = place
      return { operation, folder, ...(redisPath === undefined ? {} : { redisPath }) }
    }
    case 'users apply': {
      const accounts = USUAL_ROLES.map((role) => account(`${role}-user`, [role]))
      // Some get a new password, the others one that they may have.
      const passwords = accounts.map(({ name }) => [
        name,
        random.next() < 0.5 ? randomBytes(8).toString('hex') : `usual of ${name}`,
      ])
      return { operation, accounts, passwords: Object.fromEntries(passwords) }
    }
    case 'create': {
      const everybody = [...cluster.seeds, ...spares]
      const nodes = random.next() < 0.5 ? everybody : cluster.seeds
      const options = { nodes, replicasPerMaster: random.between(0, 1), reset: random.next() < 0.5 }
      return { operation, options }
    }
  }
}
