import { setTimeout as sleep } from 'node:timers/promises'
import { expectNoStrays, type MoveOptions, moveSlots } from '../move/index.js'
import type { Nodes } from '../move/nodes.js'
import type { NodeView } from '../replies.js'
import { countIn, slotsIn } from '../slots.js'
import { selfOf } from '../views.js'
import type { Known } from './known.js'
import { type FixStep, type Party, StepRefused } from './steps.js'

type Rejoin = Extract<FixStep, { kind: 'rejoin' }>

/** As many as a move gives away in the seconds until a replica has heard; whoever has more is not left over from one that was cut off. */
const MOST_SLOTS = 2_048
/** Fewer masters than that elect nobody. */
const FEWEST_MASTERS = 3
const FOLLOWS_MS = 5_000
const POLL_MS = 100

/**
 * A master that died just after it had claimed slots comes back with those alone: its replica, which had not heard of them, was promoted for
 * the rest. Then one shard is two, each on one machine, and none of them becomes the other's replica by itself. Servers before Redis 7.2
 * do not tell who was whose, so it counts only where nothing else can be meant: of two masters that no replica is known of, while all others
 * have some, one has few slots, and one was promoted. These go where no old copies of their keys are in the way: the promoted one may have some.
 */
export function rejoins(known: Known): FixStep[] {
  const masters = known.views().filter(({ id, slots }) => known.isMaster(id) && slots.length > 0)
  const isFollowed = ({ id }: NodeView) => known.views().some(({ masterId }) => masterId === id)
  const alone = bySize(masters).filter((master) => !isFollowed(master))
  const [few, many] = alone
  if (!few || !many || alone.length !== 2 || masters.length - 1 < FEWEST_MASTERS) return []
  // Not as long as nodes have to tell each other whose the slots are.
  if (known.suspects().some((slot) => known.claims(slot).length !== 1)) return []
  // A replica takes over all that its master has, and loses what else it had.
  const own = new Set(slotsIn(few.slots))
  if (known.suspects().some((slot) => !own.has(slot) && known.keysOn(few.id, slot) > 0)) return []
  // Which of the two has fewer depends on how much was claimed in the last moment.
  if (!wasPromoted(known, few.id) && !wasPromoted(known, many.id)) return []
  const count = countIn(few.slots)
  if (count > MOST_SLOTS || count === countIn(many.slots) || known.mastersDown().length > 0) return []
  const gives = new Map<string, number[]>()
  for (const slot of slotsIn(few.slots)) {
    const to = [many, ...bySize(masters).filter(isFollowed)].find(({ id }) => known.keysOn(id, slot) === 0)
    if (!to) return []
    gives.set(to.id, [...(gives.get(to.id) ?? []), slot])
  }
  return [
    {
      kind: 'rejoin',
      node: known.party(few.id),
      follows: known.party(many.id),
      gives: [...gives].map(([id, slots]) => ({ to: known.party(id), slots })),
    },
  ]
}

/** By its own word: it remembers the replication of the master that it was a replica of. */
function wasPromoted(known: Known, id: string): boolean {
  const witness = known.masters.find((each) => selfOf(each)?.id === id)
  return /[1-9a-f]/.test(witness?.info.get('master_replid2') ?? '')
}

const bySize = (masters: readonly NodeView[]) =>
  [...masters].sort((a, b) => countIn(a.slots) - countIn(b.slots))

/** @throws StepRefused when a replica follows one of the two by now, or it has other slots than it had; NodeNotEmptyError */
export async function rejoin(
  nodes: Nodes,
  { node, follows, gives }: Rejoin,
  masters: readonly Party[],
  options: MoveOptions,
): Promise<'done' | 'interrupted'> {
  const [own, view] = await Promise.all([nodes.self(node), nodes.view(follows)])
  if (view.some(({ masterId }) => masterId === node.id || masterId === follows.id))
    throw new StepRefused(`a replica follows ${node.name} or ${follows.name} by now`)
  const takers = gives.map(({ to }) => to.id)
  await expectNoStrays(nodes, node, slotsIn(own.slots), takers)
  const known = new Set(gives.flatMap(({ slots }) => slots))
  if (slotsIn(own.slots).some((slot) => !known.has(slot)))
    throw new StepRefused(`${node.name} has got more slots meanwhile`)
  for (const { slots, to } of gives)
    if ((await moveSlots(nodes, { slots, from: node, to }, masters, options)) === 'interrupted')
      return 'interrupted'
  // Whoever gives its last slot away becomes a replica of who gets it, unless cluster-allow-replica-migration is off.
  await nodes.text(node, 'CLUSTER', 'REPLICATE', follows.id)
  await expectFollows(nodes, node, follows)
  return 'done'
}

async function expectFollows(nodes: Nodes, node: Party, to: Party): Promise<void> {
  const deadline = performance.now() + FOLLOWS_MS
  for (;;) {
    const seen = (await nodes.view(to)).find(({ id }) => id === node.id)
    if (seen?.masterId === to.id) return
    if (performance.now() > deadline)
      throw new StepRefused(`${to.name} does not hear that ${node.name} follows it`)
    await sleep(POLL_MS)
  }
}
