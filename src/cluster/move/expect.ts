import { type Reader, read } from '../read.js'
import { poll } from '../ready.js'
import { parseFields } from '../replies.js'
import type { OpenSlot } from '../slots.js'
import { inFlights } from './flights.js'
import type { Nodes } from './nodes.js'
import { ownersIn } from './opinions.js'
import { type Party, StepRefused } from './party.js'

/** What is refused leaves the slot as it was found; but open towards whom we opened it, where the other end has become a replica since. */
export async function restore(
  nodes: Nodes,
  node: Party,
  slot: number,
  before: Pick<OpenSlot, 'direction' | 'peer'> | undefined,
): Promise<void> {
  const state = before ? [before.direction.toUpperCase(), before.peer] : ['STABLE']
  await nodes.setSlot(node, slot, ...state).catch((error: Error) => {
    if (!/not a master|don't know about node/i.test(error.message)) throw error
  })
}

/**
 * Before a node imports a slot. One that does already hears nothing of its owner any more, and when that one has become a replica since, the slot
 * is nobody's there, and whatever is asked of it is refused: CLUSTERDOWN Hash slot not served.
 */
export async function tellOwner(nodes: Nodes, node: Party, slot: number, owner: Party): Promise<void> {
  const [known] = ownersIn(await nodes.view(node), [slot])
  if (known?.id !== owner.id && known?.id !== node.id) await nodes.setSlot(node, slot, 'NODE', owner.id)
}

export const expectClosed = (nodes: Nodes, node: Party, slot: number) => expectNoneOpen(nodes, node, [slot])

export async function expectNoneOpen(nodes: Nodes, node: Party, slots: readonly number[]): Promise<void> {
  const { open } = await nodes.self(node)
  const still = open.find(({ slot }) => slots.includes(slot))
  if (still) throw new StepRefused(`${node.name} still has slot ${still.slot} open (${still.direction})`)
}

export async function expectOwner(nodes: Nodes, owner: Party, slots: readonly number[]): Promise<void> {
  const { slots: owned } = await nodes.self(owner)
  const missing = slots.find((slot) => !owned.some(([first, last]) => first <= slot && slot <= last))
  if (missing !== undefined) throw new StepRefused(`${owner.name} does not claim slot ${missing} after all`)
}

/**
 * A node that has just got slots may say for up to 5 s that the cluster is down, and moves no keys until then. A cluster that
 * stays down is waited for only once.
 */
export async function expectServing(
  nodes: Nodes,
  parties: readonly Party[],
  signal?: AbortSignal,
): Promise<void> {
  const timeoutMs = nodes.patienceMs
  nodes.patienceMs = 0
  await poll({ timeoutMs, signal }, async () => {
    const missing: string[] = []
    for (const party of parties) {
      const fields = parseFields(await nodes.text(party, 'CLUSTER', 'INFO'))
      if (fields.get('cluster_state') !== 'ok') missing.push(`${party.name} says cluster_state:fail`)
    }
    return missing.length === 0 ? { done: undefined } : { missing }
  })
  nodes.patienceMs = timeoutMs
}

/**
 * The account of a slot before it is given away: every key that was copied is at the new owner, unless the old one does not have it any
 * more either, as its time has run out. Whatever is not would be gone with the claim.
 * @throws StepRefused naming the keys; the old owner still has all of them
 */
export async function expectAllCopied(
  nodes: Nodes,
  { slot, from, to }: { readonly slot: number; readonly from: Party; readonly to: Party },
  copies: readonly { readonly name: Buffer }[],
): Promise<void> {
  const source: Reader = { link: await nodes.link(from), asking: false }
  const target: Reader = { link: await nodes.link(to), asking: true }
  const isOn = async (reader: Reader, name: Buffer) => Number(await read(reader, 'EXISTS', name)) === 1
  const found = await inFlights(copies, ({ name }) => isOn(target, name))
  const absent = copies.filter((_, i) => !found[i])
  const kept = await inFlights(absent, ({ name }) => isOn(source, name))
  const lost = absent.filter((_, i) => kept[i])
  if (lost.length === 0) return
  const names = lost.slice(0, 3).map(({ name }) => String(name))
  throw new StepRefused(
    `of ${copies.length} keys of slot ${slot} that were copied to ${to.name}, ${lost.length} are not there any more, such as ${names.join(', ')}`,
    `see what removes keys there (maxmemory-policy, FLUSHALL), then again; ${from.name} still has all of them`,
  )
}
