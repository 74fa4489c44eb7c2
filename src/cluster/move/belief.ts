import { setTimeout as sleep } from 'node:timers/promises'
import { nameOf } from '../link.js'
import type { NodeView } from '../replies.js'
import type { Nodes } from './nodes.js'
import { type Opinion, opinionsOfOthers, ownersIn, selfIn } from './opinions.js'
import { type Party, StepRefused } from './party.js'

/** A replica waits for so long with its election, when all have agreed that its master has failed. */
const ELECTION_MS = 500
const TRIES = 10
/** Every node hears of every other within cluster-node-timeout / 2. */
const HEARD_MS = 20_000
const POLL_MS = 20

/** Slots that change their owner. */
export interface Claimed {
  readonly slots: readonly number[]
  readonly from: Party
  readonly to: Party
}

/**
 * Before a node claims slots with the latest epoch, which makes a wrong claim win: no master takes anybody else for their owner but the two
 * between whom they move. Else somebody was promoted in the place of the old one, and may have taken writes since. Most of the other masters
 * have to answer: the old owner may not have heard of it, and the new one hears nothing of slots that it imports. Only masters are asked: a
 * replica that is slow is no reason.
 * @returns whether that still holds: until an election could be over that began just after
 * @throws StepRefused
 */
export async function expectUndisputed(nodes: Nodes, claimed: Claimed): Promise<() => boolean> {
  for (let tries = 1; ; tries++) {
    const askedMs = performance.now()
    const masters = await opinionsOfOthers(nodes, claimed.to, ({ role }) => role === 'master')
    const named = masters.flatMap(({ view = [] }) => othersIn(view, claimed))
    const other = named.find(({ id }) => !nodes.givenUp.has(id))
    if (other) throw disputed(nodes, claimed, other)
    const third = masters.filter(({ node }) => node.id !== claimed.from.id)
    // Where there are only two, the old owner's word is all there is.
    const voters = third.length > 0 ? third : masters
    const answers = voters.flatMap(({ view }) => (view ? [view] : []))
    if (answers.length * 2 <= voters.length) throw refused(nodes, 'too few other masters answer')
    const failing = answers.filter((view) => view.some((node) => isFailing(node, claimed.from))).length
    if (failing * 2 > voters.length) throw refused(nodes, `${claimed.from.name} counts as failed`)
    const isFresh = () => performance.now() - askedMs < ELECTION_MS
    if (isFresh()) return isFresh
    if (tries === TRIES) throw tooSlow(nodes)
  }
}

/**
 * After a claim, before anything is removed and before the node gets an even later epoch: all masters know it for the owner, with that epoch, and
 * the old one has no later one. Otherwise the claim is not believed, or only as long as nobody hears of the later epoch.
 * @param everywhere also by the replicas of both, of which one may be promoted in its place: one of the old owner that counts the slot as that
 *   one's takes it, without its keys once they are removed
 * @throws StepRefused when somebody else owns one of them, or not all have heard within 20 s
 */
export async function expectBelieved(
  nodes: Nodes,
  claimed: Claimed,
  { everywhere }: { readonly everywhere: boolean },
): Promise<void> {
  const { to, slots } = claimed
  const deadline = performance.now() + HEARD_MS
  for (;;) {
    const self = selfIn(await nodes.view(to))
    if (!self || ownersIn([self], slots).includes(undefined))
      throw refused(nodes, `${to.name} does not claim slot ${slots[0]} after all`)
    const opinions = await opinionsOfOthers(
      nodes,
      to,
      everywhere ? isConcerned(claimed) : ({ role }) => role === 'master',
    )
    const usurper = opinions.find((opinion) => isLater(opinion, self, claimed))
    if (usurper) throw refused(nodes, `${nameOf(usurper.node)} has a later epoch than ${to.name}`)
    const late = opinions.filter((opinion) => !believes(opinion, self, claimed))
    if (late.length === 0) return
    if (performance.now() > deadline)
      throw refused(
        nodes,
        `${late.map(({ node }) => nameOf(node)).join(', ')} does not answer, or has not heard that slot ${slots[0]} is ${to.name}'s`,
        'see that the nodes reach each other’s bus ports: shardq cluster check',
      )
    await sleep(POLL_MS)
  }
}

/** The masters, and whoever may be promoted in the place of one of the two. */
const isConcerned =
  ({ from, to }: Claimed) =>
  ({ role, masterId }: NodeView) =>
    role === 'master' || masterId === from.id || masterId === to.id

const isFailing = ({ id, flags }: NodeView, party: Party) => id === party.id && flags.includes('fail')

const othersIn = (view: readonly NodeView[], { slots, from, to }: Claimed) =>
  ownersIn(view, slots).flatMap((owner) => (owner && ![from.id, to.id].includes(owner.id) ? [owner] : []))

/** Whoever owns one of them by its own word, with a later epoch. */
function isLater({ view }: Opinion, owner: NodeView, { slots }: Claimed): boolean {
  const self = view && selfIn(view)
  if (!self || !ownersIn([self], slots).some(Boolean)) return false
  return self.configEpoch >= owner.configEpoch
}

/** The old owner is told last, of a partition, and of its own part it knows only what it hears. */
function believes({ view, node }: Opinion, owner: NodeView, { slots, from, to }: Claimed): boolean {
  if (!view) return false
  const seen = view.find(({ id }) => id === to.id)
  if (!seen || seen.configEpoch < owner.configEpoch) return false
  const isOld = node.id === from.id
  return ownersIn(view, slots).every((each) => each?.id === to.id || (isOld && each?.id === from.id))
}

const disputed = (nodes: Nodes, { from, slots }: Claimed, other: NodeView) =>
  refused(nodes, `slot ${slots[0]} is not ${from.name}'s any more, but ${nameOf(other)}'s`)

export const tooSlow = (nodes: Nodes) =>
  refused(nodes, `masters take over ${ELECTION_MS} ms to answer`, 'try again when they do not')

/** What was known of who has heard of what, is known no more. */
function refused(nodes: Nodes, why: string, remedy?: string): StepRefused {
  nodes.heardOf.clear()
  return new StepRefused(why, remedy)
}
