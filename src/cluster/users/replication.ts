import { settingOf } from '../settings-read.js'
import type { UserNode } from './nodes.js'
import type { UsersOptions } from './plan.js'

/** Whom replicas log in as. */
export interface Replication {
  readonly username: string
  readonly password: string
}

/** Undefined where no user with the role `replica` is to be made, or its password is not known here. */
export function replicationOf({ accounts, passwords }: UsersOptions): Replication | undefined {
  const username = accounts.find(({ roles }) => roles.includes('replica'))?.name
  const password = username === undefined ? undefined : passwords?.get(username)
  return username === undefined || password === undefined ? undefined : { username, password }
}

/**
 * On masters too: each may be a replica tomorrow. The one password that goes over the wire as it is, since the node has to
 * know it; the server keeps it out of its SLOWLOG and MONITOR. A link that is up stays up, and logs in so the next time.
 */
export async function replicateAs({ link }: UserNode, { username, password }: Replication): Promise<void> {
  await link.text('CONFIG', 'SET', 'masteruser', username, 'masterauth', password)
  if ((await replicatesAs({ link })) !== username) throw new Error('it did not take masteruser')
}

/** The user's name; '' for the default user. */
export async function replicatesAs({ link }: Pick<UserNode, 'link'>): Promise<string> {
  const username = await settingOf(link, 'masteruser')
  return username === 'default' ? '' : username
}
