import type { Access } from '../../connection/target.js'
import type { Address } from '../link.js'
import { LOOPBACK_HOSTS } from './certificates.js'

/** The cluster of a data folder, as one talks to it. */
export interface LocalTarget {
  readonly seeds: readonly Address[]
  readonly access: Access
}

/** Whether all of these are nodes of the local cluster, by whichever name of this machine. */
export const isLocal = (nodes: readonly Address[], local: Pick<LocalTarget, 'seeds'>): boolean =>
  nodes.every(({ host, port }) =>
    local.seeds.some((seed) => seed.port === port && LOOPBACK_HOSTS.includes(host)),
  )

/**
 * As whom to talk to nodes that were named. Those of the local cluster as its data folder says, unless a user of its own is
 * configured; so a password that is set for another cluster does not lock one out of this one. All others as is
 * configured: what the data folder has is for nobody else.
 */
export function accessFor(nodes: readonly Address[], local: LocalTarget | null, configured: Access): Access {
  if (local === null || !isLocal(nodes, local)) return configured
  const { username, password } = configured
  if (username !== undefined) {
    return { ...local.access, username, ...(password === undefined ? {} : { password }) }
  }
  return password === undefined ? local.access : { password, ...local.access }
}
