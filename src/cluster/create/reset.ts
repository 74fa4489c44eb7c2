import { setTimeout as sleep } from 'node:timers/promises'
import { type Address, type LinkOptions, type NodeLink, nameOf, withLink } from '../link.js'
import { Watch } from '../operation/watch.js'
import { parseClusterNodes, parseFields } from '../replies.js'

/** Longest that nodes are told to forget each other, in ms. */
const RESET_MS = 5_000
const POLL_MS = 50
/** An introduction that was on its way is back by then, also where servers have to wait for a processor. */
const QUIET_LOOKS = 20
/** A node is reset on no look that is older, in ms. */
const FRESH_MS = 1_000

/**
 * Ids of nodes that are ours to reset, and whether they may own slots. RESET HARD gives a node another id: who has an id that is noted here was
 * reset by nobody else since. One that we have reset has no slots; if it has, somebody has made a cluster of it.
 */
export type OwnIds = Map<string, { readonly maySlots: boolean }>

export interface NotReset {
  /** Names of all that are not alone and empty. */
  readonly left: readonly string[]
  /** Of those, whom somebody uses: they have keys, or are not ours any more. */
  readonly taken: readonly string[]
}

/**
 * Makes nodes that hold no keys forget each other and who they are. All at once, and until they stay alone: a packet of an
 * introduction that is on its way when they are reset makes them acquainted again.
 *
 * There is no lock before there is a cluster. So each is asked just before whether it and all whom it knows are ours: another `create` may have
 * made a cluster of them meanwhile. Servers take no condition with a reset; what comes between the answer and it is not noticed.
 *
 * A server refuses it where there are keys, but not a replica, which has them too. So masters come first, and where one refuses, or any
 * of ours has keys, somebody uses them: nothing more is reset.
 * @param own gets the new ids as well
 */
export async function resetAll(
  nodes: readonly Address[],
  own: OwnIds,
  options: LinkOptions,
): Promise<NotReset> {
  const deadline = performance.now() + RESET_MS
  const all = nodes.map(nameOf)
  let states: State[] = nodes.map(() => 'silent')
  // One that stands alone may have an epoch of its own.
  let touch = true
  for (let quiet = 0; quiet < QUIET_LOOKS && performance.now() < deadline && all.length > 0; ) {
    states = await Promise.all(nodes.map((node) => lookAt(node, own, options)))
    if (states.includes('used')) return { left: all, taken: all }
    if (touch && !(await resetEach(nodes, states, own, options))) return { left: all, taken: all }
    touch = states.some((state) => state !== 'alone' && state !== 'foreign')
    quiet = touch ? 0 : quiet + 1
    await sleep(POLL_MS)
  }
  return {
    left: all.filter((_, index) => states[index] !== 'alone'),
    taken: all.filter((_, index) => states[index] === 'foreign'),
  }
}

type State = 'alone' | 'master' | 'replica' | 'used' | 'foreign' | 'silent'

async function lookAt(node: Address, own: OwnIds, options: LinkOptions): Promise<State> {
  try {
    return (await withLink(node, options, (link) => stateOf(link, own))).state
  } catch {
    // It does not answer: it is not reset, which is what is told.
    return 'silent'
  }
}

async function stateOf(link: NodeLink, own: OwnIds): Promise<{ state: State; isOurs: boolean }> {
  const [info, keys, nodes] = await Promise.all([
    link.text('CLUSTER', 'INFO'),
    link.text('DBSIZE'),
    link.text('CLUSTER', 'NODES'),
  ])
  const view = parseClusterNodes(nodes, link.address.host).filter(({ flags }) => !flags.includes('handshake'))
  const isOurs = view.every(({ id, slots }) => own.has(id) && (slots.length === 0 || own.get(id)?.maySlots))
  const fields = parseFields(info)
  const isAlone =
    fields.get('cluster_known_nodes') === '1' && fields.get('cluster_slots_assigned') === '0' && keys === '0'
  const role = view.find(({ myself }) => myself)?.role ?? 'master'
  const state = isAlone ? 'alone' : !isOurs ? 'foreign' : Number(keys) > 0 ? 'used' : role
  return { state, isOurs }
}

/** @returns false when one refuses since it has keys by now */
async function resetEach(
  nodes: readonly Address[],
  states: readonly State[],
  own: OwnIds,
  options: LinkOptions,
): Promise<boolean> {
  for (const role of ['master', 'alone', 'replica']) {
    const ends = await Promise.allSettled(
      nodes
        .filter((_, index) => states[index] === role)
        .map((node) => withLink(node, options, (link) => resetIfOurs(link, own))),
    )
    const isUsed = ends.some(
      (end) => end.status === 'rejected' && String(end.reason).includes('containing keys'),
    )
    if (isUsed) return false
  }
  return true
}

/** Else it shows at the next look. */
async function resetIfOurs(link: NodeLink, own: OwnIds): Promise<void> {
  const asked = new Watch()
  const { state, isOurs } = await stateOf(link, own)
  if (!isOurs || state === 'used' || asked.sinceMs() > FRESH_MS) return
  // Together, so that nobody else's reset comes between.
  const [, id] = await Promise.all([link.text('CLUSTER', 'RESET', 'HARD'), link.text('CLUSTER', 'MYID')])
  own.set(id, { maySlots: false })
}
