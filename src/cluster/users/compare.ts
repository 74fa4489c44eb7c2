import { rulesOf } from '../../rights/rules.js'
import type { Address, LinkOptions } from '../link.js'
import { type Account, scopeOf } from './account.js'
import { withNodes } from './nodes.js'
import { storedOn } from './plan.js'
import { differenceOf, isSameUser, normalRules } from './stored.js'

/** A user over all nodes. */
export interface ComparedUser {
  readonly user: string
  readonly on: boolean
  /** Nodes that do not have it as most nodes have it. */
  readonly differs: readonly { readonly node: string; readonly how: string }[]
  /** Of a user with roles: whether it has the rights that these need, as most nodes have it; null where it was not asked. */
  readonly missing: readonly string[] | null
  readonly beyond: readonly string[] | null
}

export interface UsersComparison {
  /** Whether all nodes answer and have the same users, and those that were named have the rights of their roles. */
  readonly ok: boolean
  readonly nodes: readonly string[]
  readonly silent: readonly { readonly node: string; readonly error: string }[]
  readonly users: readonly ComparedUser[]
}

/**
 * Compares users between nodes, and with the rights that their roles need. Shows no hash.
 * @param options `accounts`: users to compare with their roles, too. Default: none
 * @throws NotPermittedError, and what the first seed failed with where none answers
 */
export async function compareUsers(
  seeds: readonly Address[],
  options: LinkOptions & { readonly accounts?: readonly Account[] } = {},
): Promise<UsersComparison> {
  const { accounts = [], ...access } = options
  return withNodes(seeds, access, async ({ nodes, silent, version }) => {
    const stored = [...(await storedOn(nodes))]
    const names = new Set([
      ...accounts.map(({ name }) => name),
      ...stored.flatMap(([, users]) => [...users.keys()]),
    ])
    const users = [...names].sort().map((name): ComparedUser => {
      const copies = stored.map(([node, all]) => ({ node, copy: all.get(name) }))
      const same = (one: (typeof copies)[number]) => copies.filter(({ copy }) => isSameUser(copy, one.copy))
      const most = [...copies].sort((a, b) => same(b).length - same(a).length)[0]
      const account = accounts.find((each) => each.name === name)
      const wanted = account && normalRules(rulesOf(account.roles, { ...scopeOf(account), version }))
      const difference = wanted && differenceOf(most?.copy ?? { rules: new Set() }, wanted)
      return {
        user: name,
        on: most?.copy?.on ?? false,
        differs: copies
          .filter(({ copy }) => !isSameUser(copy, most?.copy))
          .map(({ node, copy }) => ({ node, how: how(copy, most?.copy) })),
        missing: wanted ? (difference?.missing ?? []) : null,
        beyond: wanted ? (difference?.beyond ?? []) : null,
      }
    })
    const asWanted = ({ differs, missing, beyond }: ComparedUser) =>
      differs.length + (missing?.length ?? 0) + (beyond?.length ?? 0) === 0
    return {
      ok: silent.length === 0 && users.every(asWanted),
      nodes: nodes.map(({ name }) => name),
      silent: silent.map(({ name, error }) => ({ node: name, error: error.message })),
      users,
    }
  })
}

type Copy = Parameters<typeof isSameUser>[0]

/** In words, without what must not be shown. */
function how(copy: Copy, most: Copy): string {
  if (!copy) return 'does not have it'
  if (!most) return 'has it alone'
  const { missing, beyond } = differenceOf(copy, most.rules) ?? { missing: [], beyond: [] }
  const password = copy.nopass !== most.nopass || copy.hashes.join() !== most.hashes.join()
  return [
    ...(copy.on === most.on ? [] : [copy.on ? 'on' : 'off']),
    ...(password ? ['another password'] : []),
    ...(missing.length === 0 ? [] : [`without ${missing.join(' ')}`]),
    ...(beyond.length === 0 ? [] : [`beyond it ${beyond.join(' ')}`]),
  ].join(', ')
}
