import { named } from '../../named.js'
import type { NodeObservation, Observation } from '../observer.js'

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
