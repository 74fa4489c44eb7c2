import { InvalidOptionError } from '../../errors.js'
import { type BalancePlan, planRebalance, type RebalanceOptions, rebalance } from '../balance/index.js'
import { ClusterNotReadyError, InterruptedError, NodeRefusedError } from '../errors.js'
import type { Left } from '../fix/index.js'
import { type Address, type LinkOptions, nameOf, withLink } from '../link.js'
import { withOperation } from '../operation/index.js'
import { mustPermit } from '../permitted.js'
import type { NodeView } from '../replies.js'
import { forgetEverywhere, resetNode } from './forget.js'
import { neediestMaster } from './homes.js'
import { follow } from './join.js'
import { lookAt } from './newcomer.js'
import { findNode, type Roster, replicasOf, rosterOf, silentIn } from './roster.js'

export interface RemoveOptions
  extends Pick<
    RebalanceOptions,
    keyof LinkOptions | 'agreeMs' | 'signal' | 'bigKeys' | 'bigKeyBytes' | 'onProgress'
  > {
  /** Remove a master's replicas as well. Default false: they go to the masters that need them most. */
  readonly withReplicas?: boolean
  /** Remove the only replica of a master all the same. Default false. */
  readonly leaveUnprotected?: boolean
  readonly onStep?: (step: RemoveStep) => void
  /** Told of the nodes that own nothing any more and have no replica, before they are forgotten. */
  readonly onEmpty?: (nodes: readonly Address[]) => Promise<void>
}

export type RemoveStep =
  | { readonly step: 'emptied'; readonly node: string }
  | { readonly step: 'follows'; readonly node: string; readonly master: string }
  | { readonly step: 'forgotten'; readonly node: string }
  | { readonly step: 'reset'; readonly node: string }
  /** Of a local cluster alone. */
  | { readonly step: 'ended'; readonly node: string }

export interface RemoveReport {
  readonly removed: readonly string[]
  /** What of its slots could not be moved, if so; it is still a node then. */
  readonly left: readonly Left[]
}

export interface PlannedRemoval {
  readonly node: string
  readonly role: 'master' | 'replica'
  /** All nodes that go, the named one last. */
  readonly removes: readonly string[]
  /** Replicas that get another master; it is chosen anew when it is done. */
  readonly rehomes: readonly { readonly replica: string; readonly master: string }[]
  /** Where its slots go; null when it has none. */
  readonly moves: BalancePlan | null
  /** @throws what `withOperation` throws; ClusterNotReadyError; InterruptedError when it was stopped, to be gone on with later */
  run(): Promise<RemoveReport>
}

/** Fewer can neither elect nor outvote. */
const FEWEST_MASTERS = 3

/**
 * What it takes to remove a node. Changes nothing until `run`, which may be done again after it was cut off at any place.
 * @param name `host:port` or id
 * @throws NodeRefusedError with each thing that is against it; InvalidOptionError when there is no such node; ClusterNotReadyError
 */
export async function planRemoval(
  seeds: readonly Address[],
  name: string,
  options: RemoveOptions = {},
): Promise<PlannedRemoval> {
  await mustPermit(seeds, options, 'cluster remove-node', ['CLUSTER FORGET'])
  const roster = await rosterOf(seeds, options)
  const node = findNode(roster, name)
  if (!node) return finishing(roster, name, options)
  const going = [...(options.withReplicas ? replicasOf(roster, node.id) : []), node]
  refuseUnless(roster, node, going, options)
  const everywhere = roster.nodes.map(({ host, port }) => ({ host, port }))
  const moves =
    node.slots.length === 0
      ? null
      : await planRebalance(everywhere, { ...options, weights: { [node.id]: 0 } })
  const run = () =>
    withOperation(everywhere, options, { name: 'remove-node' }, options.signal, (signal) =>
      remove(everywhere, node, going, { ...options, signal }),
    )
  return {
    node: nameOf(node),
    role: node.role,
    removes: going.map(nameOf),
    rehomes: rehomes(roster, node, going),
    moves: moves && { ...moves },
    run,
  }
}

/**
 * Forgotten by all, but not reset: what a removal leaves that was cut off between the two.
 * @throws InvalidOptionError when it is not that
 */
async function finishing(roster: Roster, name: string, options: RemoveOptions): Promise<PlannedRemoval> {
  const unknown = new InvalidOptionError('node', `the cluster has no node ${name}`)
  const [, host, port] = /^(.+):(\d+)$/.exec(name) ?? []
  if (host === undefined) throw unknown
  const address = { host, port: Number(port) }
  const candidate = await lookAt(address, options).catch(() => {
    throw unknown
  })
  if (!candidate.view.some(({ id, myself }) => !myself && findNode(roster, id))) throw unknown
  const seeds = roster.nodes.map(({ host, port }) => ({ host, port }))
  const run = () =>
    withOperation(seeds, options, { name: 'remove-node' }, options.signal, async () => {
      await resetNode(address, options)
      options.onStep?.({ step: 'reset', node: name })
      return { removed: [name], left: [] }
    })
  return { node: name, role: candidate.self.role, removes: [name], rehomes: [], moves: null, run }
}

function refuseUnless(
  roster: Roster,
  node: NodeView,
  going: readonly NodeView[],
  { leaveUnprotected }: RemoveOptions,
): void {
  const { nodes } = roster
  const gone = new Set(going.map(({ id }) => id))
  const staying = nodes.filter(({ id }) => !gone.has(id))
  const problems: string[] = []
  for (const silent of silentIn(roster))
    problems.push(
      silent.id === node.id
        ? `it does not answer; if it is gone for good: shardq cluster fix --forget ${nameOf(node)}`
        : `${nameOf(silent)} does not answer, and would make it known again when it is back; start it, or if it is gone ` +
            `for good: shardq cluster fix --forget ${nameOf(silent)}`,
    )
  const masters = staying.filter(({ role, slots }) => role === 'master' && slots.length > 0)
  if (node.slots.length > 0 && masters.length < FEWEST_MASTERS)
    problems.push(
      `${masters.length} masters would be left, and fewer than 3 can neither elect nor outvote; add one first: shardq cluster add-node`,
    )
  if (!leaveUnprotected)
    for (const master of staying.filter(({ role, slots }) => role === 'master' && slots.length > 0)) {
      const replicas = replicasOf(roster, master.id)
      const loses = replicas.some(({ id }) => gone.has(id))
      if (loses && replicas.every(({ id }) => gone.has(id)))
        problems.push(
          `it is the only replica of ${nameOf(master)}; give that another first: shardq cluster add-node --replica-of ` +
            `${nameOf(master)} - or if it may be without: --leave-unprotected`,
        )
      else if (replicas.length === 0 && going.length > 1)
        problems.push(
          `${nameOf(master)} has no replica and could have one of those that are to go; leave out --with-replicas - or if it may ` +
            'be without: --leave-unprotected',
        )
    }
  if (problems.length > 0) throw new NodeRefusedError(nameOf(node), 'removed', problems)
}

function rehomes(roster: Roster, node: NodeView, going: readonly NodeView[]) {
  const gone = new Set(going.map(({ id }) => id))
  let nodes = roster.nodes
  return replicasOf(roster, node.id)
    .filter(({ id }) => !gone.has(id))
    .flatMap((replica) => {
      const master = neediestMaster(nodes, replica, gone)
      if (!master) return []
      nodes = nodes.map((each) => (each.id === replica.id ? { ...each, masterId: master.id } : each))
      return [{ replica: nameOf(replica), master: nameOf(master) }]
    })
}

/** Each step is what a look calls for, so that it can be cut off anywhere and begun again. */
async function remove(
  everywhere: readonly Address[],
  node: NodeView,
  going: readonly NodeView[],
  options: RemoveOptions,
): Promise<RemoveReport> {
  const names = new Set(going.map(nameOf))
  const staying = everywhere.filter((address) => !names.has(nameOf(address)))
  const now = findNode(await rosterOf(everywhere, options), node.id)
  if (now && now.slots.length > 0) {
    await keepReplicas(everywhere, node, options)
    const { left, interrupted } = await rebalance(everywhere, { ...options, weights: { [node.id]: 0 } })
    if (interrupted) throw new InterruptedError(`removing ${nameOf(node)}`)
    if (left.length > 0) return { removed: [], left }
    options.onStep?.({ step: 'emptied', node: nameOf(node) })
  }
  await rehome(everywhere, node, going, options)
  if (options.signal?.aborted) throw new InterruptedError(`removing ${nameOf(node)}`)
  await options.onEmpty?.(going)
  for (const each of going) {
    await forgetEverywhere(
      staying.concat(going.filter(({ id }) => id !== each.id && isLater(going, id, each.id))),
      each,
      options,
    )
    options.onStep?.({ step: 'forgotten', node: nameOf(each) })
    await resetNode(each, options)
    options.onStep?.({ step: 'reset', node: nameOf(each) })
  }
  const after = await rosterOf(staying, options)
  const known = going.find(({ id }) => findNode(after, id))
  if (known) throw new ClusterNotReadyError(0, [`${nameOf(known)} is still known`])
  return { removed: going.map(nameOf), left: [] }
}

const isLater = (going: readonly NodeView[], id: string, than: string) =>
  going.findIndex((each) => each.id === id) > going.findIndex((each) => each.id === than)

/**
 * A server makes a master that has lost its last slot a replica of whoever got it, and its replicas too, and each of them then
 * copies all of that node's data for nothing. Where CONFIG is not allowed, so be it.
 */
async function keepReplicas(
  seeds: readonly Address[],
  node: NodeView,
  options: RemoveOptions,
): Promise<void> {
  const roster = await rosterOf(seeds, options)
  for (const each of [node, ...replicasOf(roster, node.id)]) await setMigration(each, 'no', options)
}

async function setMigration(node: Address, value: string, options: LinkOptions): Promise<void> {
  await withLink(node, options, (link) =>
    link.text('CONFIG', 'SET', 'cluster-allow-replica-migration', value),
  ).catch(() => {})
}

async function rehome(
  seeds: readonly Address[],
  node: NodeView,
  going: readonly NodeView[],
  options: RemoveOptions,
): Promise<void> {
  const gone = new Set(going.map(({ id }) => id))
  for (;;) {
    const roster = await rosterOf(seeds, options)
    const replica = replicasOf(roster, node.id).find(({ id }) => !gone.has(id))
    const master = replica && neediestMaster(roster.nodes, replica, gone)
    if (!master || options.signal?.aborted) return
    await follow(seeds, replica, master, options)
    await setMigration(replica, await migrationOf(master, options), options)
    options.onStep?.({ step: 'follows', node: nameOf(replica), master: nameOf(master) })
  }
}

/** As the others have it: what the replica itself had may have been set by a removal that was cut off. */
async function migrationOf(master: Address, options: LinkOptions): Promise<string> {
  const pair = withLink(master, options, (link) =>
    link.reply('CONFIG', 'GET', 'cluster-allow-replica-migration'),
  )
  return String(((await pair.catch(() => [])) as string[])[1] ?? 'yes')
}
