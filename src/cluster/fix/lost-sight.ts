import { setTimeout as sleep } from 'node:timers/promises'
import { nameOf } from '../link.js'
import { hasMet, INTRODUCTION_MS, notThrough, numbersOf } from '../meet.js'
import type { Nodes } from '../move/nodes.js'
import type { Observation } from '../observer.js'
import { selfOf, type Witness, witnessesOf } from '../views.js'
import { type FixStep, type Left, type Party, StepRefused } from './steps.js'

/** Nodes that the others have lost sight of: under another address, or reset. */

type Introduce = Extract<FixStep, { kind: 'introduce' }>

const MEETING_MS = 10_000
const POLL_MS = 100

/** Those that answer, and that all others look for at an address where nobody answers, are made known to one that tells the rest. */
export function introductions(observation: Observation): Introduce[] {
  const witnesses = witnessesOf(observation)
  const answering = new Set(observation.nodes.filter(({ up }) => up).map(({ name }) => name))
  const moved = witnesses.filter((witness) => {
    const self = selfOf(witness)
    if (!self || answering.has(nameOf(self)) === false) return false
    const lines = witnesses
      .filter((other) => other !== witness)
      .flatMap(({ view }) => view.filter(({ id }) => id === self.id))
    return lines.length > 0 && lines.every((line) => !hasMet(line) && !answering.has(nameOf(line)))
  })
  const teller = witnesses.find((witness) => !moved.includes(witness) && witness.view.length > 1) ?? moved[0]
  if (!teller) return []
  return moved
    .filter((witness) => witness !== teller)
    .map((witness) => ({
      kind: 'introduce',
      node: partyOf(witness),
      busPort: selfOf(witness)?.busPort ?? witness.address.port + 10_000,
      to: partyOf(teller),
    }))
}

const partyOf = (witness: Witness): Party => ({
  ...witness.address,
  id: selfOf(witness)?.id ?? '',
  name: witness.name,
})

/** MEET answers OK before anything has happened. The node is known by its id, so that only its address is new. */
export async function introduce(nodes: Nodes, { node, busPort, to }: Introduce): Promise<'done'> {
  const host = (await numbersOf(node.host)) ?? node.host
  const deadline = performance.now() + MEETING_MS
  for (let toldMs = Number.NEGATIVE_INFINITY; ; ) {
    if (performance.now() - toldMs > INTRODUCTION_MS) {
      await nodes.text(to, 'CLUSTER', 'MEET', host, node.port, busPort)
      toldMs = performance.now()
    }
    const line = (await nodes.view(to)).find(({ id }) => id === node.id)
    if (hasMet(line) && line?.port === node.port) return 'done'
    if (performance.now() > deadline) throw new StepRefused(notThrough(to.name, { ...node, busPort }))
    await sleep(POLL_MS)
  }
}

/** Nodes that answer, know nobody and own nothing, beside others that are a cluster. */
export function leftOutOf(observation: Observation): Witness[] {
  const witnesses = witnessesOf(observation)
  const isAlone = ({ view }: Witness) => view.length === 1 && view[0]?.slots.length === 0
  return witnesses.every(isAlone) ? [] : witnesses.filter(isAlone)
}

/** What is to be done about those: it is for somebody to say that they are wanted. */
export function leftOut(observation: Observation): Left[] {
  const out = leftOutOf(observation)
  const other = witnessesOf(observation).find((witness) => !out.includes(witness))
  return out.map(({ name }) => ({
    what: `${name}, which answers and belongs to no cluster`,
    why: 'it was reset, or started without its nodes.conf, and is another node now; the others do not know it',
    remedy: `when all slots have an owner that answers: shardq cluster add-node ${name} --node ${other?.name} --replica-of auto`,
  }))
}
