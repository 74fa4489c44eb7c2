import { InvalidOptionError } from '../../errors.js'
import { rulesOf } from '../../rights/rules.js'
import type { Address, LinkOptions } from '../link.js'
import type { Deed } from '../operation/agreed.js'
import { type Account, hashOf, scopeOf } from './account.js'
import { type FoundNodes, type UserNode, usersOf, withNodes } from './nodes.js'
import { differenceOf, normalRules, type StoredUser } from './stored.js'

export interface UsersOptions extends LinkOptions {
  readonly accounts: readonly Account[]
  /** By the name of the user. One that is not here keeps the password that nodes have. */
  readonly passwords?: ReadonlyMap<string, string>
}

/** What has to be done to one user on one node. */
export interface UserChange {
  readonly node: string
  readonly user: string
  readonly change: 'new' | 'rules' | 'password' | 'none'
  /** Rules that the user lacks there, and has beyond those of its roles. */
  readonly missing: readonly string[]
  readonly beyond: readonly string[]
}

export interface UsersPlan {
  readonly changes: readonly UserChange[]
  /** Nodes that do not answer, and so would be left out. */
  readonly silent: readonly { readonly node: string; readonly error: string }[]
}

/**
 * What `applyUsers` would do. Changes nothing.
 * @throws NotPermittedError where we may not look at users; InvalidOptionError for a user without a password
 */
export async function planUsers(seeds: readonly Address[], options: UsersOptions): Promise<UsersPlan> {
  const { accounts, passwords, ...access } = options
  return withNodes(seeds, access, async (found) => {
    const stored = await storedOn(found.nodes)
    const hashes = hashesOf(accounts, passwords, stored)
    return {
      changes: changesOf(found, accounts, hashes, stored),
      silent: found.silent.map(({ name, error }) => ({ node: name, error: error.message })),
    }
  })
}

export const changesOf = (
  { nodes, version }: FoundNodes,
  accounts: readonly Account[],
  hashes: ReadonlyMap<string, string>,
  stored: StoredByNode,
): UserChange[] =>
  nodes.flatMap(({ name }) =>
    accounts.map((each) => changeOf(name, each, version, hashes.get(each.name), stored.get(name))),
  )

/** Rights that a user has beyond those that were shown are lost too, and nobody has agreed to that. */
export const deedsOf = (changes: readonly UserChange[]): Deed[] =>
  changes
    .filter(({ change }) => change !== 'none')
    .map(({ node, user, change, missing, beyond }) => ({
      id: [node, user, change, ...missing, '-', ...beyond].join(' '),
      what: `user ${user} on ${node} is not as it was shown: ${change}${beyond.length > 0 ? `, loses ${beyond.join(' ')}` : ''}`,
    }))

/** By the name of the node. */
export type StoredByNode = ReadonlyMap<string, ReadonlyMap<string, StoredUser>>

export async function storedOn(nodes: readonly UserNode[]): Promise<StoredByNode> {
  return new Map(await Promise.all(nodes.map(async (node) => [node.name, await usersOf(node)] as const)))
}

/**
 * The hash of each user's password: of the one that was given, else the one that all nodes have which know the user; so a
 * node that has joined gets the users that the others have, and nobody has to know a password for that.
 * @throws InvalidOptionError where there is none, or more than one
 */
export function hashesOf(
  accounts: readonly Account[],
  passwords: ReadonlyMap<string, string> | undefined,
  stored: StoredByNode,
): ReadonlyMap<string, string> {
  return new Map(
    accounts.map(({ name }) => {
      const given = passwords?.get(name)
      if (given !== undefined) return [name, hashOf(given)]
      const known = new Set([...stored.values()].flatMap((users) => users.get(name)?.hashes ?? []))
      const [hash] = known
      if (hash === undefined || known.size > 1) {
        const problem = hash === undefined ? 'has no password yet' : 'has more than one password'
        throw new InvalidOptionError(
          'password',
          `user ${name} ${problem}; give it one, as --password-file ${name}=FILE or --passwords DIR`,
        )
      }
      return [name, hash]
    }),
  )
}

export function changeOf(
  node: string,
  account: Account,
  version: string,
  hash: string | undefined,
  users: ReadonlyMap<string, StoredUser> | undefined,
): UserChange {
  const found = users?.get(account.name)
  const wanted = normalRules(rulesOf(account.roles, { ...scopeOf(account), version }))
  const { missing, beyond } = differenceOf(found ?? { rules: new Set() }, wanted) ?? {
    missing: [],
    beyond: [],
  }
  const asWanted = found?.on && !found.nopass && found.hashes.length === 1 && found.hashes[0] === hash
  const differs = missing.length + beyond.length > 0
  const change = !found ? 'new' : differs ? 'rules' : asWanted ? 'none' : 'password'
  return { node, user: account.name, change, missing, beyond }
}
