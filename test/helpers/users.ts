import type { Address, LinkOptions } from '../../src/cluster/index.js'
import { type Account, account, applyUsers } from '../../src/cluster/index.js'
import { withLink } from '../../src/cluster/link.js'
import type { ClusterConnectionOptions } from '../../src/connection/options.js'
import { ROLE_NAMES } from '../../src/rights/roles.js'

/** One user for each role, called like it; `team`, who may do anything with the queue `team-queue` and with no other. */
export const ACCOUNTS: readonly Account[] = [
  ...ROLE_NAMES.map((role) => account(role, [role])),
  account('team', ['producer', 'worker', 'manager'], ['team-queue']),
  account('both', ['producer', 'worker', 'manager']),
]

export const passwordOf = (user: string) => `hush-${user}`

export const PASSWORDS: ReadonlyMap<string, string> = new Map(
  ACCOUNTS.map(({ name }) => [name, passwordOf(name)]),
)

/** Makes all of them on every node. @throws where one did not take them */
export async function makeUsers(nodes: readonly Address[], access: LinkOptions = {}): Promise<void> {
  const report = await applyUsers(nodes, { ...access, accounts: ACCOUNTS, passwords: PASSWORDS })
  const failed = report.nodes.filter(({ error }) => error !== null)
  if (failed.length > 0) throw new Error(JSON.stringify(failed))
}

export const accessAs = (user: string) => ({ username: user, password: passwordOf(user) })

export const connectAs = (user: string, nodes: readonly Address[]): ClusterConnectionOptions => ({
  mode: 'cluster',
  nodes,
  ...accessAs(user),
})

/** What users were refused on these nodes (ACL LOG), each once, in order. */
export async function refusalsOn(nodes: readonly Address[], access: LinkOptions = {}): Promise<string[]> {
  const logs = await Promise.all(
    nodes.map((node) => withLink(node, access, (link) => link.reply('ACL', 'LOG', 1_000))),
  )
  const told = (logs as string[][][]).flat().map((entry) => {
    const field = (name: string) => entry[entry.indexOf(name) + 1]
    return `${field('username')}: ${field('object')}`
  })
  return [...new Set(told)].sort()
}
