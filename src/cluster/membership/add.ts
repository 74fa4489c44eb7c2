import { InvalidOptionError } from '../../errors.js'
import { type RebalanceOptions, type RebalanceReport, rebalance } from '../balance/index.js'
import { ClusterNotReadyError, NodeRefusedError } from '../errors.js'
import type { Left } from '../fix/index.js'
import { type Address, type LinkOptions, nameOf } from '../link.js'
import { noSuchNode } from '../no-such-node.js'
import { onlyLibraries, servingWithout } from '../only-libraries.js'
import { withOperation } from '../operation/index.js'
import { leftOf } from '../owed/left.js'
import type { NodeView } from '../replies.js'
import { giveFunctions } from './functions.js'
import { neediestMaster } from './homes.js'
import { follow, join } from './join.js'
import { judge, lookAt } from './newcomer.js'
import { findNode, type Roster, type RosterOptions, replicasOf, rosterOf, silentIn } from './roster.js'
import { applySettings, compareSettings } from './settings.js'
import { giveUsers } from './users.js'

/** A server that runs, is empty, and is to become a node. */
export interface NodeToAdd extends Address {
  /** Of which master it is to be a replica: `host:port`, id, or `auto`: of the one that needs it most. Absent: a master. */
  readonly replicaOf?: string
}

export interface AddOptions extends RosterOptions {
  /** Give the new masters their share of the slots. Default false: they own none until `rebalance`. */
  readonly rebalance?:
    | boolean
    | Pick<RebalanceOptions, 'weights' | 'bigKeys' | 'bigKeyBytes' | 'leaveUnprotected' | 'onProgress'>
  readonly onStep?: (step: AddStep) => void
}

export type AddStep =
  | { readonly step: 'started'; readonly node: string; readonly pid: number }
  | { readonly step: 'joined'; readonly node: string }
  /** The names of settings, since some have secrets for values. */
  | { readonly step: 'set'; readonly node: string; readonly settings: readonly string[] }
  /** Users (ACL) that it has as the others only now. */
  | { readonly step: 'users'; readonly node: string; readonly users: readonly string[] }
  /** Libraries of functions that it has as the others only now. */
  | { readonly step: 'functions'; readonly node: string; readonly libraries: readonly string[] }
  | { readonly step: 'follows'; readonly node: string; readonly master: string }

export interface AddReport {
  readonly added: readonly { readonly node: string; readonly id: string; readonly replicaOf: string | null }[]
  readonly warnings: readonly string[]
  /** What nodes have not got back, by this operation or one that was cut off: why, and what to do about it. */
  readonly left: readonly Left[]
  readonly rebalance: RebalanceReport | null
}

/**
 * Makes servers nodes of a cluster, masters first. May be done again after it was cut off: who is in already is not added again.
 * @throws NodeRefusedError when a server may not join; nothing is changed then. InvalidOptionError; OperationInProgressError and
 *   what else `withOperation` throws; ClusterNotReadyError when not all come to know it
 */
export async function addNodes(
  seeds: readonly Address[],
  nodes: readonly NodeToAdd[],
  options: AddOptions = {},
): Promise<AddReport> {
  return withOperation(seeds, options, { name: 'add-node' }, options.signal, async (held) => {
    const report = await admit(seeds, nodes, { ...options, ...held })
    const how = options.rebalance === true ? {} : options.rebalance
    const balanced = how ? await rebalance(seeds, { ...options, ...how, ...held }) : null
    return { ...report, left: leftOf(held), rebalance: balanced }
  })
}

/**
 * Who becomes what: masters first, then their replicas, each on another host than its master where that can be.
 * @throws InvalidOptionError when they do not come out even
 */
export function rolesFor(addresses: readonly Address[], replicasPerMaster: number): NodeToAdd[] {
  const share = replicasPerMaster + 1
  if (addresses.length % share !== 0)
    throw new InvalidOptionError(
      'replicasPerMaster',
      `${addresses.length} nodes do not come out even with ${replicasPerMaster} replicas for each master`,
    )
  const masters = addresses.slice(0, addresses.length / share)
  const taken = new Map(masters.map((master) => [master, 0]))
  const replicas = addresses.slice(masters.length).map((replica) => {
    const [master] = [...taken.keys()].sort(
      (a, b) =>
        Number((taken.get(a) ?? 0) >= replicasPerMaster) - Number((taken.get(b) ?? 0) >= replicasPerMaster) ||
        Number(a.host === replica.host) - Number(b.host === replica.host) ||
        (taken.get(a) ?? 0) - (taken.get(b) ?? 0),
    )
    if (!master) throw new InvalidOptionError('nodes', 'expected at least one')
    taken.set(master, (taken.get(master) ?? 0) + 1)
    return { ...replica, replicaOf: nameOf(master) }
  })
  return [...masters, ...replicas]
}

/** As `addNodes`, under a lock that the caller has, and without a rebalance. */
export async function admit(
  seeds: readonly Address[],
  nodes: readonly NodeToAdd[],
  options: AddOptions,
): Promise<Omit<AddReport, 'left' | 'rebalance'>> {
  const roster = await rosterOf(seeds, options)
  const judged = await judgeAll(nodes, roster, options)
  const warnings = judged.flatMap(({ warnings }) => warnings)
  const added: AddReport['added'][number][] = []
  // Masters first, so that there is whom to follow.
  for (const { node, self, member, toSet } of [...judged].sort(
    (a, b) => Number(isReplica(a)) - Number(isReplica(b)),
  )) {
    const name = nameOf(node)
    await judgeAgain(seeds, node, self.id, options)
    if (toSet.size > 0) {
      warnings.push(...(await applySettings(node, toSet, options)))
      options.onStep?.({ step: 'set', node: name, settings: [...toSet.keys()] })
    }
    const users = await giveUsers(node, member, options)
    warnings.push(...users.warnings)
    if (users.given.length > 0) options.onStep?.({ step: 'users', node: name, users: users.given })
    const functions = await giveFunctions(node, member, options)
    warnings.push(...functions.warnings)
    if (functions.given.length > 0)
      options.onStep?.({ step: 'functions', node: name, libraries: functions.given })
    await judgeAgain(seeds, node, self.id, options)
    const now = await join(seeds, { ...node, id: self.id, busPort: self.busPort }, options)
    options.onStep?.({ step: 'joined', node: name })
    const master = masterFor(node, self, now)
    if (master && findNode(now, self.id)?.masterId !== master.id) {
      await follow(seeds, { ...node, id: self.id }, master, options)
      options.onStep?.({ step: 'follows', node: name, master: nameOf(master) })
    }
    added.push({ node: name, id: self.id, replicaOf: master ? nameOf(master) : null })
  }
  return { added, warnings: [...warnings, ...(await unprotected(seeds, added, options))] }
}

/**
 * The others of a list take their time, and the lock is that of this cluster: meanwhile the server may have become a node of another one,
 * and whoever introduces it would make the two one. @throws NodeRefusedError
 */
async function judgeAgain(
  seeds: readonly Address[],
  node: NodeToAdd,
  id: string,
  options: AddOptions,
): Promise<void> {
  const candidate = await lookAt(node, options)
  if (candidate.self.id !== id)
    throw new NodeRefusedError(nameOf(node), 'added', ['it is another node than a moment ago; try again'])
  const roster = await rosterOf(seeds, options)
  judge(candidate, roster, options)
  await mustBeFree(node, candidate.self, roster, options)
}

/** Typed again after a failover, an add-node names the two the other way round: it is the shard that was asked for. */
const tookOver = ({ replicaOf }: NodeToAdd, known: NodeView | undefined, roster: Roster) =>
  replicaOf !== undefined && known?.role === 'master' && findNode(roster, replicaOf)?.masterId === known.id

/**
 * A server that serves slots cannot become a replica, and one that has functions would lose them with its first copy of its master's data. As a
 * master it keeps them. @throws NodeRefusedError
 */
async function mustBeFree(
  node: NodeToAdd,
  self: NodeView,
  roster: Roster,
  options: LinkOptions,
): Promise<void> {
  const known = findNode(roster, self.id)
  if (node.replicaOf === undefined || self.role !== 'master' || tookOver(node, known, roster)) return
  const name = nameOf(node)
  if (known === undefined || known.slots.length === 0) {
    const only = await onlyLibraries(node, servingWithout(roster.nodes, new Set([self.id])), options)
    if (!only) return
    throw new NodeRefusedError(name, 'added', [
      `no master of the cluster has ${only.what} just so, and as a replica it would lose them; ${only.remedy}`,
    ])
  }
  throw new NodeRefusedError(name, 'added', [
    `it is a master that owns slots, and no replica before it has given them away: shardq cluster rebalance --weight ${name}=0`,
  ])
}

const isReplica = ({ node }: { node: NodeToAdd }) => node.replicaOf !== undefined

async function judgeAll(nodes: readonly NodeToAdd[], roster: Roster, options: AddOptions) {
  const silent = silentIn(roster).map(
    (node) =>
      `${nameOf(node)} does not answer, and would not hear of a new node; start it, or if it is gone for good: ` +
      `shardq cluster fix --forget ${nameOf(node)}`,
  )
  if (silent.length > 0) throw new ClusterNotReadyError(0, silent)
  const names = nodes.map(nameOf)
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined) throw new InvalidOptionError('nodes', `${twice} is named twice`)
  return Promise.all(
    nodes.map(async (node) => {
      const candidate = await lookAt(node, options)
      judge(candidate, roster, options)
      const known = findNode(roster, candidate.self.id)
      await mustBeFree(node, candidate.self, roster, options)
      if (node.replicaOf !== undefined && node.replicaOf !== 'auto' && !tookOver(node, known, roster)) {
        const master = findNode(roster, node.replicaOf)
        // One of the list becomes a master, unless it is a node already.
        const willBe = master === undefined && names.includes(node.replicaOf)
        if (!willBe && master?.role !== 'master') throw noSuchNode('replicaOf', node.replicaOf, 'master')
      }
      const member = roster.witnesses.find(({ address }) => nameOf(address) !== nameOf(node))?.address ?? node
      return { node, self: candidate.self, member, ...(await compareSettings(candidate, member, options)) }
    }),
  )
}

/** One that follows a master already, as after an add-node that was cut off, stays where it is. */
function masterFor(node: NodeToAdd, self: Pick<NodeView, 'id'>, roster: Roster): NodeView | undefined {
  const known = findNode(roster, self.id)
  if (tookOver(node, known, roster)) return undefined
  const current = findNode(roster, known?.masterId ?? '')
  // Named as a master, and a replica by now.
  if (node.replicaOf === undefined) return current
  if (node.replicaOf === 'auto') return current ?? neediestMaster(roster.nodes, node, new Set([self.id]))
  const master = findNode(roster, node.replicaOf)
  // It may have lost a failover since it was looked at.
  if (master?.role !== 'master') throw noSuchNode('replicaOf', node.replicaOf, 'master')
  return master
}

async function unprotected(
  seeds: readonly Address[],
  added: AddReport['added'],
  options: AddOptions,
): Promise<string[]> {
  const roster = await rosterOf(seeds, options)
  return added
    .filter(({ id, replicaOf }) => replicaOf === null && replicasOf(roster, id).length === 0)
    .map(
      ({ node }) =>
        `${node} has no replica: a queue that wants its tasks replicated stores none there; give it one: ` +
        `shardq cluster add-node HOST:PORT --replica-of ${node}`,
    )
}
