import { createHash } from 'node:crypto'
import { InvalidOptionError } from '../../errors.js'
import { ROLE_NAMES, type RoleName } from '../../rights/roles.js'
import { rulesOf } from '../../rights/rules.js'

/** A user as it is to be. */
export interface Account {
  readonly name: string
  readonly roles: readonly RoleName[]
  /** Queues that producers, workers and managers are limited to; undefined: all. */
  readonly queues: readonly string[] | undefined
}

/** One user for each role of a program; `replica` only where it is asked for, and `manager` for teams with queues of their own. */
export const USUAL_ROLES = ['producer', 'worker', 'operator', 'metrics'] as const satisfies RoleName[]

/**
 * @param queues without, all queues
 * @throws InvalidOptionError for a name that an access list cannot hold
 */
export function account(name: string, roles: readonly RoleName[], queues?: readonly string[]): Account {
  if (!/^[\w.@-]{1,100}$/.test(name))
    throw new InvalidOptionError('user', `${JSON.stringify(name)}: letters, digits and ._@- only`)
  if (name === 'default')
    throw new InvalidOptionError('user', 'default is what everybody is who names no user; name another')
  if (roles.length === 0) throw new InvalidOptionError('user', `${name} has no role`)
  for (const queue of queues ?? []) {
    if (queue === '' || /[\s{}()]/.test(queue)) {
      const problem = 'an access list has no words for names with spaces, parentheses or braces'
      throw new InvalidOptionError('queue', `${JSON.stringify(queue)}: ${problem}`)
    }
  }
  return { name, roles: [...new Set(roles)], queues }
}

export const usualAccounts = (queues?: readonly string[]): Account[] =>
  USUAL_ROLES.map((role) => account(role, [role], queues))

/** `team-a=producer,worker`; a name alone is that of a role. @throws InvalidOptionError */
export function parseAccount(text: string, queues?: readonly string[]): Account {
  const [name = '', roles = name] = text.split('=')
  const named = roles.split(',').map((role): RoleName => {
    const found = ROLE_NAMES.find((each) => each === role)
    if (!found)
      throw new InvalidOptionError('user', `${role || text} is no role; roles are ${ROLE_NAMES.join(', ')}`)
    return found
  })
  return account(name, named, queues)
}

/**
 * What ACL SETUSER is sent: takes effect as a whole, and replaces all that the user had.
 * @param login words for its passwords; by default, this one alone
 */
export function setuserArgs(
  account: Account,
  version: string,
  hash: string,
  login: readonly string[] = ['resetpass', `#${hash}`],
): string[] {
  const reset = ['on', ...login, 'resetkeys', 'resetchannels', 'clearselectors']
  return [account.name, ...reset, ...rulesOf(account.roles, { ...scopeOf(account), version })]
}

export const scopeOf = ({ queues }: Account) => (queues === undefined ? {} : { queues })

/** The form in which servers keep passwords; the password itself never leaves this process. */
export const hashOf = (password: string) => createHash('sha256').update(password).digest('hex')
