import { settingOf } from '../settings-read.js'
import type { UserNode } from './nodes.js'
import type { UsersOptions } from './plan.js'

/** Whom replicas log in as. */
export interface Replication {
  readonly username: string
  readonly password: string
}

/**
 * Whom a node is to replicate as: the user with the role `replica`; without one, whom it replicates as already, if a password is given for
 * that user. Undefined where the password is not known here.
 */
export async function replicationOf(
  node: UserNode,
  { accounts, passwords }: UsersOptions,
): Promise<Replication | undefined> {
  const wanted = accounts.find(({ roles }) => roles.includes('replica'))?.name
  const username = wanted ?? (await settingOf(node.link, 'masteruser'))
  const isOne = accounts.some(({ name }) => name === username)
  const password = isOne ? passwords?.get(username) : undefined
  return password === undefined ? undefined : { username, password }
}

/**
 * On masters too: each may be a replica tomorrow. The one password that goes over the wire as it is, since the node has to
 * know it; the server keeps it out of its SLOWLOG and MONITOR. A link that is up stays up, and logs in so the next time.
 */
export async function replicateAs({ link }: UserNode, { username, password }: Replication): Promise<void> {
  await link.text('CONFIG', 'SET', 'masteruser', username, 'masterauth', password)
  const isTaken =
    (await replicatesAs({ link })) === username && (await settingOf(link, 'masterauth')) === password
  if (!isTaken) throw new Error('it did not take masteruser and masterauth')
}

/** The user's name; '' for the default user. */
export async function replicatesAs({ link }: Pick<UserNode, 'link'>): Promise<string> {
  const username = await settingOf(link, 'masteruser')
  return username === 'default' ? '' : username
}
