import { nameOf } from '../link.js'
import { type Claimed, expectBelieved, expectUndisputed, tooSlow } from './belief.js'
import { inGrowingFlights } from './flights.js'
import type { Nodes } from './nodes.js'
import { ownersIn } from './opinions.js'
import { NoReplicasError, others, type Party, StepRefused } from './party.js'

/** For letting go of slots. The claim takes as long again, and all of it is to be over before an election could be. */
const RELEASE_MS = 200

interface Form {
  /** They are open at both ends: then the old owner may have sent keys away, and takes none back without sending clients after them. */
  readonly isOpen: boolean
}

/**
 * Gives slots away of which the old owner has no key any more. It lets go first: it refuses to as long as it has one, and then none can come to be
 * there. Had the new one claimed first, what was written to the old one meanwhile would be dropped when that one hears of it. In between, for the
 * time of two round trips, each of the two sends clients to the other.
 * @returns those of which the old owner has keys, which are as they were
 * @throws StepRefused; what was not claimed is the old owner's again
 */
export async function handOver(
  nodes: Nodes,
  { slots, from, to }: Claimed,
  masters: readonly Party[],
  form: Form,
): Promise<readonly number[]> {
  const kept: number[] = []
  for (let rest = slots; rest.length > 0; ) {
    const some = await handOverSome(nodes, { slots: rest, from, to }, form)
    rest = rest.slice(some.free.length + some.kept.length)
    kept.push(...some.kept)
    if (some.free.length === 0) continue
    const told = others(masters, [to, ...(form.isOpen ? [] : [from])])
    await Promise.all(told.map((node) => tellAll(nodes, node, some.free, to)))
    await expectBelieved(nodes, { slots: some.free, from, to }, { everywhere: false })
  }
  return kept
}

/** As many of them as there is time for. @returns the first ones: those that have their new owner, and those that have keys */
async function handOverSome(
  nodes: Nodes,
  claimed: Claimed,
  form: Form,
): Promise<{ readonly free: readonly number[]; readonly kept: readonly number[] }> {
  const { slots, from, to } = claimed
  if (!form.isOpen) await expectConfirmed(nodes, claimed)
  const isUndisputed = await expectUndisputed(nodes, claimed)
  const startedMs = performance.now()
  const isTimeFor = (ms: number) => performance.now() - startedMs + ms < RELEASE_MS
  const asked: number[] = []
  const kept: number[] = []
  const claiming: number[] = []
  const released = () => asked.filter((slot) => !kept.includes(slot))
  try {
    await inGrowingFlights(
      slots,
      async (slot) => {
        asked.push(slot)
        if (!(await letGo(nodes, from, slot, to))) kept.push(slot)
      },
      isTimeFor,
    )
    const free = released()
    const claim = (slot: number) => {
      claiming.push(slot)
      return nodes.setSlot(to, slot, 'NODE', to.id)
    }
    if ((await inGrowingFlights(free, claim, isUndisputed)) < free.length) throw tooSlow(nodes)
    // Somebody may have closed it there, and the rest of its keys are at the other end.
    if (form.isOpen) for (const slot of kept) await takeAgain(nodes, { from, to }, slot, form)
    return { free, kept }
  } catch (error) {
    throw await withoutOrphans(nodes, { slots: released(), from, to, claiming }, form, error as Error)
  }
}

/**
 * Whether both ends carry out changes of slots at all, by one that changes nothing: else slots that one of them has let go of could
 * neither be claimed nor be given back. Of those that are open, that was just seen. @throws NoReplicasError
 */
async function expectConfirmed(nodes: Nodes, { slots: [slot = 0], from, to }: Claimed): Promise<void> {
  await Promise.all(
    [from, to].map((node) =>
      nodes.setSlot(node, slot, 'STABLE').catch((error: Error) => {
        if (!isOfReplica(error)) throw error
      }),
    ),
  )
}

interface Released extends Claimed {
  /** Those of them that the new one was told to claim. */
  readonly claiming: readonly number[]
}

/**
 * What the old owner has let go of and the new one has not claimed is the old one's again. Where its replicas keep it from that, it goes to the new
 * one after all, if nobody else has it.
 * @returns what to fail with
 */
async function withoutOrphans(
  nodes: Nodes,
  { slots, from, to, claiming }: Released,
  form: Form,
  cause: Error,
): Promise<Error> {
  const giveBack = (orphans: readonly number[]) =>
    inGrowingFlights(orphans, (slot) => takeAgain(nodes, { from, to }, slot, form)).catch(
      async (error: Error) => {
        if (!(error instanceof NoReplicasError)) throw error
        await expectUndisputed(nodes, { slots: orphans, from, to })
        await inGrowingFlights(orphans, (slot) => nodes.setSlot(to, slot, 'NODE', to.id))
      },
    )
  try {
    const unclaimed = slots.filter((slot) => !claiming.includes(slot))
    await giveBack(await withoutOwner(nodes, unclaimed, [from]))
    await giveBack(await unlessClaimed(nodes, { slots: claiming, from, to }, form))
    return cause
  } catch (error) {
    // One that has become a replica meanwhile refuses, and has nothing to take back.
    if (isOfReplica(error as Error)) return cause
    return new StepRefused(
      `${cause.message}; and what ${from.name} has let go of could not be given back: ${(error as Error).message}`,
      'look at both; then: shardq cluster fix',
    )
  }
}

/**
 * Of neither of the two by its own word. What may have been claimed the old one would drop again when it hears of it, with what was written to
 * it, unless it sends clients on: so all of those that are open, where the new one does not say.
 */
async function unlessClaimed(
  nodes: Nodes,
  { slots, from, to }: Claimed,
  { isOpen }: Form,
): Promise<readonly number[]> {
  try {
    return await withoutOwner(nodes, slots, [from, to])
  } catch (error) {
    if (!isOpen) throw error
    return slots
  }
}

/** Those of which none of these says that they are its own. */
async function withoutOwner(
  nodes: Nodes,
  slots: readonly number[],
  parties: readonly Party[],
): Promise<readonly number[]> {
  if (slots.length === 0) return []
  const views = await Promise.all(parties.map((each) => nodes.viewAnew(each)))
  const owners = ownersIn(
    views.flatMap((view) => view.filter(({ myself }) => myself)),
    slots,
  )
  return slots.filter((_, i) => !owners[i])
}

/** The old owner's, as it was. Open, in one go: as its owner without sending clients on, it would take writes of keys that are at the other end. */
async function takeAgain(
  nodes: Nodes,
  { from, to }: Pick<Claimed, 'from' | 'to'>,
  slot: number,
  { isOpen }: Form,
): Promise<void> {
  if (!isOpen) {
    await nodes.setSlot(from, slot, 'NODE', from.id)
    return
  }
  const link = await nodes.link(from)
  const [, , , done] = await Promise.all([
    link.text('MULTI'),
    link.text('CLUSTER', 'SETSLOT', slot, 'NODE', from.id),
    link.text('CLUSTER', 'SETSLOT', slot, 'MIGRATING', to.id),
    link.reply('EXEC'),
  ])
  const failed = (done as unknown[]).find((reply) => reply instanceof Error)
  if (failed) throw failed
}

/** It would hear of it anyway. */
async function tellAll(nodes: Nodes, node: Party, slots: readonly number[], owner: Party): Promise<void> {
  try {
    await inGrowingFlights(slots, (slot) => tell(nodes, node, slot, owner))
  } catch (error) {
    if (!(error instanceof NoReplicasError)) throw error
  }
}

/** One that has given its last slot away has become a replica, and is told nothing any more. */
export async function tell(nodes: Nodes, node: Party, slot: number, owner: Party): Promise<void> {
  try {
    await nodes.setSlot(node, slot, 'NODE', owner.id)
  } catch (error) {
    if (!isOfReplica(error as Error)) throw error
  }
}

/** @returns whether it has; not if it has keys of the slot. @throws StepRefused when it is not its own to give away */
async function letGo(nodes: Nodes, from: Party, slot: number, to: Party): Promise<boolean> {
  try {
    await nodes.setSlot(from, slot, 'NODE', to.id)
    return true
  } catch (error) {
    if ((error as Error).message.includes('still hold keys')) return false
    if (!isOfReplica(error as Error)) throw error
    // It has become a replica: as the slot before was its last one; or as somebody was promoted in its place, who may have keys by now.
    const [owner] = ownersIn(await nodes.view(from), [slot])
    if (owner?.id === to.id) return true
    throw new StepRefused(
      `${from.name} has become a replica, and slot ${slot} is ${owner ? nameOf(owner) : 'nobody'}'s`,
    )
  }
}

const isOfReplica = ({ message }: Error) => message.includes('only with masters')
