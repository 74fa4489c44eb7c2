import { commandsOf, rulesOf } from '../../rights/rules.js'
import { CHECKING, GIVING_RIGHTS, OBSERVING, OPERATING } from '../../rights/tool-uses.js'
import { LockOutError } from '../errors.js'
import { type Account, scopeOf } from './account.js'

/** What making users takes, and so taking it back: what it is all about first; any key, for the lock of an operation is one. */
const NEEDED = new Set([
  '+acl|setuser',
  ...commandsOf([OBSERVING, CHECKING, OPERATING, GIVING_RIGHTS]).map((command) => `+${command}`),
  '~*',
])
/** Of those that would be lacking, how many are named. */
const MOST_NAMED = 3

/**
 * Of the user that we log in as, no right is taken that we work with. Else the first node would take it, and nobody might be left, once the
 * default user is off, who could give it back. Not even where the same call makes another operator: whether that one gets in
 * everywhere is only known when it is done. Its password may change: until all nodes have the new one, either is taken (`Giving`).
 * @param username undefined: the default user, who is never changed
 * @param version of the oldest node, whose rights all get
 * @throws LockOutError, by what would be given, so that nothing has been written yet
 */
export function mustStayIn(
  username: string | undefined,
  accounts: readonly Account[],
  version: string,
): void {
  for (const account of accounts) {
    const rules = new Set(rulesOf(account.roles, { ...scopeOf(account), version }))
    const lacking = [...NEEDED].filter((rule) => !rules.has(rule))
    if (account.name === username && lacking.length > 0) throw lockedOut(account, lacking, accounts)
  }
}

function lockedOut(
  { name, roles }: Account,
  lacking: readonly string[],
  accounts: readonly Account[],
): LockOutError {
  const heir = accounts.find((each) => each.name !== name && each.roles.includes('operator'))
  const first = heir
    ? `make ${heir.name} first, by a call of its own, and log in as ${heir.name}`
    : 'log in as another operator'
  return new LockOutError(
    [
      `as ${roles.join(', ')} it would lack ${lacking.slice(0, MOST_NAMED).join(', ')} and more of what that takes`,
      `to do it all the same, ${first} (SHARDQ_REDIS_USERNAME, SHARDQ_REDIS_PASSWORD_FILE)`,
      `to give it the role besides: --user ${name}=${[...roles, 'operator'].join()}`,
    ],
    `no user was changed, since ${name} is who we log in as, and could not take it back`,
  )
}
