import { setTimeout as sleep } from 'node:timers/promises'
import type { Address, LinkOptions } from '../cluster/link.js'
import { Observer } from '../cluster/observer.js'
import { versionOf } from '../cluster/version.js'
import { type Check, type Finding, listed } from './check.js'
import { probe } from './probes.js'
import { REACH } from './rules/reach.js'
import { arrange, type Ground, hostOf, isReplica, placeOf, type Scene } from './scene.js'
import { CHECK_NAMES, CHECKS, type CheckName } from './table.js'

export interface CheckOptions extends LinkOptions {
  /** Where the cluster lies, which changes the commands that are advised. */
  readonly ground?: Ground
  /**
   * Wait between the first look that found something and the second one, which counts; in ms. Default 1,000. What passes
   * by itself, views that differ for a moment after a change for one, is not reported then.
   */
  readonly settleMs?: number
}

/** A node as it was found. */
export interface CheckedNode {
  /** `host:port` */
  readonly name: string
  readonly answers: boolean
  readonly role: 'master' | 'replica' | null
  /** `Redis 7.0.15`; null where it does not answer. */
  readonly server: string | null
}

export interface CheckReport {
  /** Whether no error was found; warnings do not count. */
  readonly ok: boolean
  /** Errors first; then in the order of the table. */
  readonly findings: readonly Finding[]
  readonly nodes: readonly CheckedNode[]
  /** Names of the checks that were made: all, or where no node answers those that say why not. */
  readonly checks: readonly string[]
  /** What could not be looked at, and what holds although nothing is wrong. */
  readonly notes: readonly string[]
}

/**
 * Makes every check on every node of a cluster, or on a single server, found from any of the addresses. Asks, and changes
 * nothing: it has no way to. Never throws for what the nodes do; that is what it reports. Besides what `Observer` asks it
 * sends TIME and ACL LIST, and CLUSTER COUNTKEYSINSLOT for each slot that a master does not serve (for 5 s at most). A node that does not answer
 * costs `timeoutMs` (default 1,000) a few times, the others are asked meanwhile.
 */
export async function checkCluster(
  addresses: readonly Address[],
  options: CheckOptions = {},
): Promise<CheckReport> {
  const first = await look(addresses, options)
  const findings = judge(first)
  if (findings.length === 0) return report(first, findings)
  await sleep(options.settleMs ?? 1_000)
  // By all addresses that anybody named: two nodes that pass for one are listed in turns.
  const known = [...first.live, ...first.silent, ...first.elsewhere.map(({ listed }) => listed)]
  const second = await look([...addresses, ...known.map(({ address }) => address)], options)
  return report(second, judge(second))
}

async function look(addresses: readonly Address[], options: CheckOptions): Promise<Scene> {
  const { ground, settleMs: _, ...access } = options
  const observer = new Observer(addresses, { ...access, config: true })
  try {
    const sight = arrange(await observer.observe(), ground)
    return { ...sight, probed: await probe(sight, access) }
  } finally {
    observer.close()
  }
}

/** What every check of the table has to say of a scene. */
export function judge(scene: Scene): Finding[] {
  const findings = CHECK_NAMES.flatMap((name) => {
    const check: Check = CHECKS[name]
    return check.find(scene).map(({ nodes, seen, mend }): Finding => {
      const places = nodes.map((node) => placeOf(node, scene))
      const { severity, why } = check
      return { check: name, severity, nodes, seen, why, mend: mend ?? check.mend(places) }
    })
  })
  return [...findings.filter(isError), ...findings.filter((finding) => !isError(finding))]
}

const isError = ({ severity }: Finding) => severity === 'error'

function report(scene: Scene, findings: readonly Finding[]): CheckReport {
  return {
    ok: !findings.some(isError),
    findings,
    nodes: [
      ...scene.live.map((node) => {
        const { flavour, version } = versionOf(node.info)
        const role = isReplica(node) ? ('replica' as const) : ('master' as const)
        return { name: node.name, answers: true, role, server: `${flavour} ${version}` }
      }),
      ...scene.silent.map(({ name }) => ({ name, answers: false, role: null, server: null })),
    ],
    checks: checksMade(scene),
    notes: [...scene.probed.notes, ...notThisMachine(scene), ...onOneMachine(scene)],
  }
}

/** Where no node answers, all that can be told is why not. */
const checksMade = ({ live }: Scene) =>
  live.length > 0 ? CHECK_NAMES : [...Object.keys(REACH), 'config-invalid' satisfies CheckName]

function notThisMachine({ live, probed: { host } }: Scene): string[] {
  const elsewhere = live.filter(({ name }) => !host?.nodes.has(name)).map(({ name }) => name)
  if (elsewhere.length === 0) return []
  const untold = 'disk, kernel settings and clock jumps were not looked at'
  return [`${listed(elsewhere)}: not on this machine, or not to be seen from here; ${untold}`]
}

/** No fault of a cluster for development, but nobody should take it for more than it is. */
function onOneMachine({ members }: Scene): string[] {
  const hosts = new Set(members.map(hostOf))
  return members.length > 1 && hosts.size === 1
    ? [`all nodes are on ${[...hosts][0]}: nothing here survives the loss of that machine`]
    : []
}
