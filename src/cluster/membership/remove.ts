import {
  type BalancePlan,
  type PlannedRebalance,
  type RebalanceOptions,
  type RebalanceReport,
  rebalance,
} from '../balance/index.js'
import { ClusterNotReadyError, InterruptedError } from '../errors.js'
import type { Left } from '../fix/index.js'
import { type Address, type LinkOptions, nameOf } from '../link.js'
import { expectLibrariesElsewhere, servingWithout } from '../only-libraries.js'
import type { RunOptions } from '../operation/agreed.js'
import { withLent } from '../owed/lend.js'
import type { Owes } from '../owed/unpaid.js'
import type { NodeView } from '../replies.js'
import { expectNoKeys, forgetEverywhere, resetNode } from './forget.js'
import { neediestMaster } from './homes.js'
import { expectCopyElsewhere } from './in-sync.js'
import { follow } from './join.js'
import { findNode, replicasOf, rosterOf } from './roster.js'

export interface RemoveOptions
  extends Pick<
    RebalanceOptions,
    keyof LinkOptions | keyof Owes | 'agreeMs' | 'signal' | 'bigKeys' | 'bigKeyBytes' | 'onProgress'
  > {
  /** Remove a master's replicas as well. Default false: they go to the masters that need them most. */
  readonly withReplicas?: boolean
  /** Remove the only replica of a master all the same. Default false. */
  readonly leaveUnprotected?: boolean
  readonly onStep?: (step: RemoveStep) => void
  /** Told of the nodes that own nothing any more and have no replica, before they are forgotten. */
  readonly onEmpty?: (nodes: readonly NodeView[]) => Promise<void>
  /** Told when all are gone, while the lock is still held; `access` has its fence. */
  readonly onRemoved?: (access: LinkOptions) => Promise<void>
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
  /** What of its slots could not be moved, if so; none is removed then. And what nodes have not got back. */
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
  readonly moves: (BalancePlan & Pick<PlannedRebalance, 'mends' | 'unprotected'>) | null
  /**
   * Looks once more, and goes on if no other node would leave than was agreed to, and none in another role.
   * @throws PlanChangedError, NodeRefusedError, before anything was done; what `withOperation` throws; ClusterNotReadyError;
   *   InterruptedError when it was stopped, to be gone on with later
   */
  run(options?: RunOptions): Promise<RemoveReport>
}

/** Each step is what a look calls for, so that it can be cut off anywhere and begun again. */
export async function remove(
  everywhere: readonly Address[],
  node: NodeView,
  going: readonly NodeView[],
  options: RemoveOptions,
): Promise<RemoveReport> {
  const names = new Set(going.map(nameOf))
  const staying = everywhere.filter((address) => !names.has(nameOf(address)))
  const now = findNode(await rosterOf(everywhere, options), node.id)
  if (now && now.slots.length > 0) {
    const { left, interrupted } = await emptied(everywhere, node, options)
    if (interrupted) throw interruptedAt(node, left)
    if (left.length > 0) return { removed: [], left }
    options.onStep?.({ step: 'emptied', node: nameOf(node) })
  }
  await rehome(everywhere, node, going, options)
  if (options.signal?.aborted) throw interruptedAt(node, [])
  await options.onEmpty?.(going)
  const gone = new Set(going.map(({ id }) => id))
  for (const each of going) {
    await expectNoKeys(each, options)
    const others = staying.concat(going.filter(({ id }) => id !== each.id && isLater(going, id, each.id)))
    const expectCopy = async () => {
      const roster = await rosterOf(others, options)
      await expectCopyElsewhere(roster, each, gone, options)
      return servingWithout(roster.nodes, gone)
    }
    const serving = await expectCopy()
    if (each.role === 'master') await expectLibrariesElsewhere(each, serving, 'removed', options)
    await forgetEverywhere(others, each, options)
    options.onStep?.({ step: 'forgotten', node: nameOf(each) })
    await expectCopy()
    await resetNode(each, others, options)
    options.onStep?.({ step: 'reset', node: nameOf(each) })
  }
  const after = await rosterOf(staying, options)
  const known = going.find(({ id }) => findNode(after, id))
  if (known) throw new ClusterNotReadyError(0, [`${nameOf(known)} is still known`])
  await options.onRemoved?.(options)
  return { removed: going.map(nameOf), left: [] }
}

function interruptedAt(node: NodeView, left: readonly Left[]): InterruptedError {
  const open = left.map(({ what, remedy }) => `; ${what} (${remedy})`).join('')
  return new InterruptedError(`removing ${nameOf(node)}`, {
    left: `what was moved stays moved, and the same command goes on${open}`,
  })
}

const isLater = (going: readonly NodeView[], id: string, than: string) =>
  going.findIndex((each) => each.id === id) > going.findIndex((each) => each.id === than)

/**
 * A server makes a master that has lost its last slot a replica of whoever got it, and its replicas too, and each of them then
 * copies all of that node's data for nothing. So they are not to, until all have heard that it has none.
 */
async function emptied(
  seeds: readonly Address[],
  node: NodeView,
  options: RemoveOptions,
): Promise<RebalanceReport> {
  const nodes = [node, ...replicasOf(await rosterOf(seeds, options), node.id)]
  const loan = {
    operation: 'remove-node',
    nodes,
    setting: 'cluster-allow-replica-migration',
    value: 'no',
  } as const
  return withLent(seeds, loan, options, async () => {
    const report = await rebalance(seeds, { ...options, weights: { [node.id]: 0 } })
    await rosterOf(seeds, { ...options, signal: undefined })
    return report
  })
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
    options.onStep?.({ step: 'follows', node: nameOf(replica), master: nameOf(master) })
  }
}
