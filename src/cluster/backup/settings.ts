import { named } from '../../named.js'
import type { LinkOptions } from '../link.js'
import { withLink } from '../link.js'
import type { NodeObservation, Observation } from '../observer.js'
import { clashesOf, type Holder, holderOf, MAKE_ONE } from './libraries.js'
import type { Standing } from './standing.js'

/** Passwords of all kinds. `tls-auth-clients` is none. */
const SECRET = /pass|secret|token|(master|primary)auth/
/** Another one on every node by its nature. */
const OF_ONE_NODE =
  /^(port|tls-port|cluster-port|bind.*|dir|logfile|pidfile|unixsocket|slaveof|replicaof|cluster-announce-.*|cluster-config-file|server_cpulist|aclfile)$/

export interface SavedSettings {
  readonly settings: Readonly<Record<string, string>> | null
  readonly settingsThatDiffer: Readonly<Record<string, Readonly<Record<string, string>>>>
}

/** What all nodes have the same, and by node what not. */
export function settingsOf({ nodes }: Observation): SavedSettings {
  const known = nodes.flatMap((node) => (hasSettings(node) ? [{ name: node.name, config: node.config }] : []))
  const [first] = known
  if (!first) return { settings: null, settingsThatDiffer: {} }
  const settings = named<string>()
  const settingsThatDiffer = named<Record<string, string>>()
  for (const [name, value] of first.config) {
    if (SECRET.test(name) || OF_ONE_NODE.test(name)) continue
    if (known.every(({ config }) => config.get(name) === value)) settings[name] = value
    else {
      const each = known.map((node) => [node.name, node.config.get(name) ?? ''] as const)
      settingsThatDiffer[name] = Object.fromEntries(each)
    }
  }
  return { settings, settingsThatDiffer }
}

type Known = NodeObservation & { readonly config: ReadonlyMap<string, string> }

const hasSettings = (node: NodeObservation): node is Known => node.up && node.config !== undefined

/** Where masters do not have the same functions, their files cannot be restored together, and the sooner that is known the better. */
export async function functionWarnings({ owners }: Standing, access: LinkOptions): Promise<string[]> {
  const warnings: string[] = []
  const holders: Holder[] = []
  for (const { name, address } of owners)
    try {
      holders.push(await withLink(address, access, (link) => holderOf(name, link)))
    } catch (error) {
      warnings.push(`whether the masters have the same functions is not known: ${(error as Error).message}`)
    }
  const clashes = clashesOf(holders).map((clash) => `${clash}; a restore refuses that: ${MAKE_ONE}`)
  return [...warnings, ...clashes]
}

/** The lines of ACL LIST of the first owner; null where we are not allowed to ask. */
export async function usersOf(
  { owners }: Standing,
  access: LinkOptions,
): Promise<{ lines: readonly string[] | null; differ: boolean }> {
  const lists = await Promise.all(
    owners.map(({ address }) =>
      withLink(address, access, async (link) => (await link.reply('ACL', 'LIST')) as string[]).catch(
        () => null,
      ),
    ),
  )
  const [lines = null] = lists
  // Each process lists users and rules in an order of its own.
  const text = (list: readonly string[] | null) =>
    (list ?? [])
      .map((line) => line.split(' ').sort().join(' '))
      .sort()
      .join('\n')
  return { lines, differ: lists.some((list) => text(list) !== text(lines)) }
}
