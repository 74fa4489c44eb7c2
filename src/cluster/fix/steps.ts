import { nameOf } from '../link.js'
import { keys, type Party } from '../move/party.js'
import type { Deed } from '../operation/agreed.js'
import type { Owed } from '../owed/notes.js'
import { type OpenSlot, rangesOf, rangeText } from '../slots.js'

export { type Party, StepRefused } from '../move/party.js'

/** One thing to mend. Each is done and verified by itself, and may be done again if it was broken off. */
export type FixStep =
  /** A slot that is open though no other node than its owner has keys of it. */
  | { readonly kind: 'close'; readonly slot: number; readonly sides: readonly Side[] }
  /** A slot that was on its way: what is still here follows, and the slot belongs to where its keys are. */
  | {
      readonly kind: 'finish'
      readonly slot: number
      readonly from: Party
      readonly to: Party
      readonly keys: number
      readonly keysThere: number
    }
  /** Keys on a node that does not own their slot, where nobody finds them. */
  | {
      readonly kind: 'bring-home'
      readonly slot: number
      readonly from: Party
      readonly to: Party
      readonly keys: number
    }
  /** The same, where the owner has others: it may have deleted what it lacks. Copies that it has just so are of no use. */
  | {
      readonly kind: 'drop-same'
      readonly slot: number
      readonly from: Party
      readonly to: Party
      readonly keys: number
    }
  /** Slots that nobody owns. */
  | { readonly kind: 'assign'; readonly slots: readonly number[]; readonly to: Party; readonly keys: number }
  /** A master that came back with slots which its replica, promoted meanwhile, has not: it gives them away, and follows that one. */
  | {
      readonly kind: 'rejoin'
      readonly node: Party
      readonly follows: Party
      readonly gives: readonly { readonly slots: readonly number[]; readonly to: Party }[]
    }
  /** A node that answers, and that the others look for at an address where nobody is: one of them is told, and tells the rest. */
  | { readonly kind: 'introduce'; readonly node: Party; readonly busPort: number; readonly to: Party }
  /** Settings and users of a node that an operation which was cut off has not given back. */
  | {
      readonly kind: 'give-back'
      readonly node: Party
      readonly owed: Owed
      /** `slowlog-max-len`, `user reporter` */
      readonly told: readonly string[]
      /** What is only named, since nobody can say that it is to be so. */
      readonly unknown: readonly string[]
    }
  /** A node that was named, and of which no more is wanted. */
  | { readonly kind: 'forget'; readonly node: Party; readonly at: readonly Party[] }

/** One end of an open slot. */
export interface Side extends OpenSlot {
  readonly node: Party
  readonly owns: boolean
}

/** What is wrong and stays so, since mending it would be guessing, or is not for this tool. */
export interface Left {
  readonly what: string
  readonly why: string
  /** What to type or do. */
  readonly remedy: string
}

export interface FixPlan {
  /** In the order in which they are done. */
  readonly steps: readonly FixStep[]
  readonly left: readonly Left[]
}

/**
 * Whether something is wrong until it is done. Not of copies of which it is not known whose they are: what is left of them is told (`Left`), and is
 * no reason not to move slots.
 */
export const isMend = ({ kind }: FixStep) => kind !== 'drop-same'

/** One sentence for people. */
export function describe(step: FixStep): string {
  switch (step.kind) {
    case 'close': {
      const sides = step.sides.map(
        ({ node, direction, owns }) => `${direction} on ${node.name}${owns ? ', its owner' : ''}`,
      )
      return `slot ${step.slot} is open (${sides.join('; ')}), and only its owner may have keys of it: close it`
    }
    case 'finish':
      return (
        `slot ${step.slot} is half way from ${step.from.name} (${keys(step.keys)}) to ${step.to.name} ` +
        `(${keys(step.keysThere)}): finish the move`
      )
    case 'bring-home':
      return (
        `${keys(step.keys)} of slot ${step.slot} on ${step.from.name}, where nobody finds them: move them to ` +
        `${step.to.name}, which owns the slot`
      )
    case 'drop-same':
      return (
        `${keys(step.keys)} of slot ${step.slot} on ${step.from.name}, where nobody finds them: those that ${step.to.name}, ` +
        'the owner, has just so are removed there'
      )
    case 'assign': {
      const what = `nobody owns ${slotText(step.slots)}`
      return step.keys > 0
        ? `${what}, and ${step.to.name} has ${keys(step.keys)} there: it gets them`
        : `${what}, and no node that answers has keys there: ${step.to.name} gets them`
    }
    case 'rejoin': {
      const slots = step.gives.flatMap((each) => each.slots)
      const to = step.gives.map((each) => each.to.name).join(', ')
      return (
        `no replica follows ${step.node.name}, which has only ${slotText(slots)}, nor ${step.follows.name}: ` +
        `what it has goes to ${to}, and it follows ${step.follows.name}`
      )
    }
    case 'introduce':
      return `${step.node.name} answers, and the others look for it at another address: ${step.to.name} is told, and tells the rest`
    case 'give-back':
      return [
        `${step.node.name} has not got back ${[...step.told, ...step.unknown].join(', ')} from a ${step.owed.operation} that was cut off`,
        step.told.length === 0 ? '' : `: ${step.told.join(', ')} as before`,
        step.unknown.length === 0 ? '' : `; ${step.unknown.join(', ')} is yours to set`,
      ].join('')
    case 'forget':
      return `${step.node.name} (${step.node.id}) is gone, and was named: all others forget it; it is not to be started on its nodes.conf again`
  }
}

/** What makes a step the same in two plans: slot by slot, and not by how many keys were counted. */
export function deedsOf(step: FixStep): Deed[] {
  const deed = (...words: (string | number)[]): Deed => ({
    id: [step.kind, ...words].join(' '),
    what: describe(step),
  })
  switch (step.kind) {
    case 'close':
      return step.sides.map(({ node, direction, peer }) => deed(step.slot, node.id, direction, peer))
    case 'finish':
    case 'bring-home':
    case 'drop-same':
      return [deed(step.slot, step.from.id, step.to.id)]
    case 'assign':
      return step.slots.map((slot) => deed(slot, step.to.id, step.keys > 0 ? 'with keys' : 'without'))
    case 'rejoin':
      return step.gives.flatMap(({ slots, to }) =>
        slots.map((slot) => deed(slot, step.node.id, to.id, step.follows.id)),
      )
    case 'introduce':
      return [deed(step.node.id, nameOf(step.node), step.to.id)]
    case 'give-back':
      return [deed(step.owed.kind, step.node.id)]
    case 'forget':
      return [deed(step.node.id)]
  }
}

/** What is sent, and to whom. */
export function commandsOf(step: FixStep): string[] {
  switch (step.kind) {
    case 'close':
      return step.sides.map(({ node }) => `${node.name}> CLUSTER SETSLOT ${step.slot} STABLE`)
    case 'finish': {
      const { slot, from, to } = step
      return [
        `${to.name}> CLUSTER SETSLOT ${slot} IMPORTING ${from.id}`,
        `${from.name}> CLUSTER SETSLOT ${slot} MIGRATING ${to.id}`,
        ...migrate(from, to, step.keys),
        `${from.name} and ${to.name}, then every master> CLUSTER SETSLOT ${slot} NODE ${to.id}`,
      ]
    }
    case 'bring-home': {
      const { slot, from, to } = step
      return [
        `${from.name}> CLUSTER SETSLOT ${slot} IMPORTING ${to.id}`,
        ...migrate(from, to, step.keys),
        `${from.name}> CLUSTER SETSLOT ${slot} STABLE`,
      ]
    }
    case 'drop-same': {
      const { slot, from, to } = step
      return [
        `${from.name}> CLUSTER SETSLOT ${slot} IMPORTING ${to.id}`,
        `${from.name}> UNLINK <each that is the same>`,
        `${from.name}> CLUSTER SETSLOT ${slot} STABLE`,
      ]
    }
    case 'assign':
      return [
        `${step.to.name}> CLUSTER BUMPEPOCH`,
        `every other master> CLUSTER SETSLOT <each> NODE ${step.to.id}`,
        `${step.to.name}> CLUSTER SETSLOT <each> NODE ${step.to.id}`,
      ]
    case 'rejoin':
      return [
        ...step.gives.flatMap(({ slots, to }) =>
          slots.map((slot) => `${to.name}> CLUSTER SETSLOT ${slot} NODE ${to.id}`),
        ),
        `${step.node.name}> CLUSTER REPLICATE ${step.follows.id}`,
      ]
    case 'introduce':
      return [`${step.to.name}> CLUSTER MEET ${step.node.host} ${step.node.port} ${step.busPort}`]
    case 'give-back':
      return step.told.map((name) =>
        name.startsWith('user ')
          ? `${step.node.name}> ACL SETUSER ${name.slice('user '.length)} ...`
          : `${step.node.name}> CONFIG SET ${name} ...`,
      )
    case 'forget':
      return step.at.map(({ name }) => `${name}> CLUSTER FORGET ${step.node.id}`)
  }
}

/** Never with REPLACE: a key that is there already is looked at, not written over. */
const migrate = (from: Party, to: Party, count: number) =>
  count === 0 ? [] : [`${from.name}> MIGRATE ${to.host} ${to.port} "" 0 <ms> KEYS ... (${keys(count)})`]

export const slotText = (slots: readonly number[]) =>
  slots.length === 1 ? `slot ${slots[0]}` : `${slots.length} slots (${rangeText(rangesOf(slots), 10)})`
