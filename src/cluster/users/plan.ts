import { InvalidOptionError } from '../../errors.js'
import { rulesOf } from '../../rights/rules.js'
import type { Address, LinkOptions } from '../link.js'
import type { Deed } from '../operation/agreed.js'
import { type Account, hashOf, scopeOf } from './account.js'
import { judgeFiles } from './files.js'
import { mustLockNobodyOut } from './lock-out.js'
import { refusalToldBy, toldWhichPassword, withEitherPassword } from './login.js'
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
  /** `rules`: also where more than they change; `password`: nothing but who may be it does. */
  readonly change: 'new' | 'rules' | 'password' | 'none'
  /** `earlier-ends`: it has the one that is wanted already, and another one, as where a change was broken off. */
  readonly password: 'same' | 'changes' | 'earlier-ends'
  /** Whether it is there, and off. */
  readonly switchedOn: boolean
  /** Rules that the user lacks there, and has beyond those of its roles. */
  readonly missing: readonly string[]
  readonly beyond: readonly string[]
}

export interface UsersPlan {
  readonly changes: readonly UserChange[]
  /** Nodes that do not answer, and so would be left out. */
  readonly silent: readonly { readonly node: string; readonly error: string }[]
  /** What nodes write down for good besides, since they write all that they have; and whose files cannot be seen from here. */
  readonly notes: readonly string[]
}

/**
 * What `applyUsers` would do. Changes nothing.
 * @throws NotPermittedError where we may not look at users; InvalidOptionError for a user without a password; LockOutError where the user that
 *   we log in as could not take it back; FilesEditedError where nodes would write over edits of their files
 */
export async function planUsers(seeds: readonly Address[], options: UsersOptions): Promise<UsersPlan> {
  const { accounts, passwords, ...access } = withEitherPassword(options)
  return toldWhichPassword(options, () =>
    withNodes(seeds, access, async (found) => {
      const stored = await storedOn(found.nodes)
      const hashes = hashesOf(accounts, passwords, stored)
      await mustLockNobodyOut(found, access.username, accounts)
      const notes = await judgeFiles(found.nodes, { accounts, ...(passwords && { passwords }) })
      return {
        notes,
        changes: changesOf(found, accounts, hashes, stored),
        silent: found.silent.map(({ name, error }) => ({
          node: name,
          error: refusalToldBy(options, error).message,
        })),
      }
    }),
  )
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
  changes.flatMap(({ node, user, change, password, switchedOn, missing, beyond }) => {
    const deeds: [id: string, what: string][] = []
    if (change === 'new') deeds.push(['new', 'it is new'])
    if (change === 'rules') {
      const loses = beyond.length > 0 ? `, and loses ${beyond.join(' ')}` : ''
      deeds.push([['rules', ...missing, '-', ...beyond].join(' '), `it gets other rights${loses}`])
    }
    if (change !== 'new' && password !== 'same') deeds.push(['password', 'it gets another password'])
    if (switchedOn) deeds.push(['on', 'it is switched on'])
    return deeds.map(([id, what]) => ({
      id: [node, user, id].join(' '),
      what: `user ${user} on ${node} is not as it was shown: ${what}`,
    }))
  })

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
        const problem =
          hash === undefined
            ? 'has no password yet'
            : 'has more than one password (was a change of it broken off?)'
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
  const password = passwordChange(found, hash)
  const switchedOn = found !== undefined && !found.on
  const differs = missing.length + beyond.length > 0
  const isOther = password !== 'same' || switchedOn
  const change = !found ? 'new' : differs ? 'rules' : isOther ? 'password' : 'none'
  return { node, user: account.name, change, password, switchedOn, missing, beyond }
}

function passwordChange(found: StoredUser | undefined, hash: string | undefined): UserChange['password'] {
  if (!found || found.nopass || !found.hashes.some((each) => each === hash)) return 'changes'
  return found.hashes.length === 1 ? 'same' : 'earlier-ends'
}
