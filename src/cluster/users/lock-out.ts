import type { RoleName } from '../../rights/roles.js'
import { commandsOf, rulesOf } from '../../rights/rules.js'
import { CHECKING, GIVING_RIGHTS, OBSERVING, OPERATING, REPLICATING } from '../../rights/tool-uses.js'
import { LockOutError } from '../errors.js'
import { isForbidden } from '../replies.js'
import { type Account, scopeOf } from './account.js'
import type { FoundNodes, UserNode } from './nodes.js'
import { replicatesAs } from './replication.js'

/** Who is logged in by it, what that takes, and the role that has it. */
interface InUse {
  readonly name: string
  readonly needed: readonly string[]
  readonly role: RoleName
  readonly why: string
  /** What to do where the role is not wanted any more. */
  readonly otherwise: (accounts: readonly Account[]) => string
}

const rulesFor = (...uses: Parameters<typeof commandsOf>[0]) =>
  commandsOf(uses).map((command) => `+${command}`)

/** What making users takes, and so taking it back: what it is all about first; any key, for the lock of an operation is one. */
const APPLYING = [
  ...new Set(['+acl|setuser', ...rulesFor(OBSERVING, CHECKING, OPERATING, GIVING_RIGHTS), '~*']),
]
/** Of those that would be lacking, how many are named. */
const MOST_NAMED = 3

/**
 * Of the user that we log in as, no right is taken that we work with, nor of the one that nodes log in to each other as what that takes. Else the
 * first node would take it, and nobody might be left, once the default user is off, who could give it back; and each replica would lose its
 * master at the next break. Not even where the same call makes another one for it: whether that one gets in everywhere is only known
 * when it is done. Passwords may change: until all nodes have the new one, either is taken (`Giving`).
 * @param username undefined: the default user, who is never changed
 * @throws LockOutError, by what would be given, so that nothing has been written yet
 */
export async function mustLockNobodyOut(
  { nodes, version }: FoundNodes,
  username: string | undefined,
  accounts: readonly Account[],
): Promise<void> {
  const replicating = new Set(await Promise.all(nodes.map(replicatesAsFar)))
  const inUse = [...(username === undefined ? [] : [ourselves(username)]), ...[...replicating].map(replicas)]
  for (const account of accounts) {
    const rules = new Set(rulesOf(account.roles, { ...scopeOf(account), version }))
    for (const each of inUse.filter(({ name }) => name === account.name)) {
      const lacking = each.needed.filter((rule) => !rules.has(rule))
      if (lacking.length > 0) throw lockedOut(account, lacking, each, accounts)
    }
  }
}

const ourselves = (name: string): InUse => ({
  name,
  needed: APPLYING,
  role: 'operator',
  why: `${name} is who we log in as, and could not take it back`,
  otherwise: (accounts) => {
    const heir = accounts.find((each) => each.name !== name && each.roles.includes('operator'))
    const first = heir
      ? `make ${heir.name} first, by a call of its own, and log in as ${heir.name}`
      : 'log in as another operator'
    return `${first} (SHARDQ_REDIS_USERNAME, SHARDQ_REDIS_PASSWORD_FILE)`
  },
})

const replicas = (name: string): InUse => ({
  name,
  needed: rulesFor(REPLICATING),
  role: 'replica',
  why: `nodes log in to each other as ${name} (masteruser), and would be refused`,
  otherwise: () => 'give them another one first: shardq cluster users apply --replication --passwords DIR',
})

/** '' where we may not look. */
const replicatesAsFar = (node: UserNode) =>
  replicatesAs(node).catch((error: Error) => {
    if (!isForbidden(error)) throw error
    return ''
  })

function lockedOut(
  { name, roles }: Account,
  lacking: readonly string[],
  { role, why, otherwise }: InUse,
  accounts: readonly Account[],
): LockOutError {
  const named = lacking.slice(0, MOST_NAMED).join(', ')
  return new LockOutError(
    [
      `as ${roles.join(', ')} it would lack ${named}${lacking.length > MOST_NAMED ? ' and more' : ''} of what that takes`,
      `to do it all the same, ${otherwise(accounts)}`,
      `to give it the role besides: --user ${name}=${[...roles, role].join()}`,
    ],
    `no user was changed, since ${why}`,
  )
}
