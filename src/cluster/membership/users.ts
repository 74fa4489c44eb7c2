import { type Address, type LinkOptions, nameOf, withLink } from '../link.js'
import { mustKeepFiles } from '../users/files.js'
import { usersOf } from '../users/nodes.js'
import { persist } from '../users/persist.js'
import { isSameUser, type StoredUser, wordsOf } from '../users/stored.js'

export interface UsersGiven {
  /** Users that it has as the others only now. */
  readonly given: readonly string[]
  readonly warnings: readonly string[]
}

/**
 * Gives a new node the users (ACL) that the others have, hashes and all, since servers do not spread them: it would refuse every
 * program that is a user as soon as it owns a slot, and every replica that logs in as one. The default user is left as it is:
 * somebody may be in by it alone. What cannot be given is a warning; who may join does not hang on it.
 * @param member a node that is in the cluster
 */
export async function giveUsers(node: Address, member: Address, options: LinkOptions): Promise<UsersGiven> {
  try {
    const lines = await withLink(member, options, (link) => link.reply('ACL', 'LIST'))
    const wanted = new Map(
      (lines as string[]).map((line) => [wordsOf(line)[1] ?? '', wordsOf(line).slice(2)]),
    )
    wanted.delete('default')
    if (wanted.size === 0) return { given: [], warnings: [] }
    const theirs = await withLink(member, options, (link) => usersOf({ link }))
    return await withLink(node, options, async (link) => {
      const missing = (has: ReadonlyMap<string, StoredUser>) =>
        [...wanted.keys()].filter((name) => !isSameUser(has.get(name), theirs.get(name)))
      const given = missing(await usersOf({ link }))
      if (given.length === 0) return { given, warnings: [] }
      const own = given.map((name) => `user ${name}`)
      await mustKeepFiles(link, 'add-node', own)
      for (const name of given) await link.text('ACL', 'SETUSER', name, 'reset', ...(wanted.get(name) ?? []))
      const left = missing(await usersOf({ link }))
      if (left.length > 0) throw new Error(`it has ${left.join(' and ')} otherwise than it was told`)
      await persist(link, false)
      return { given, warnings: [] }
    })
  } catch (error) {
    // Not the error itself: the client hangs the command on it, with the hash of a password.
    const why = (error as Error).message
    const warning = `${nameOf(node)} could not be given the users that the others have (${why}); shardq cluster users apply does that`
    return { given: [], warnings: [warning] }
  }
}
