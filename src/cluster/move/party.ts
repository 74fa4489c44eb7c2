import type { Address } from '../link.js'

/** A node that takes part in a move or a repair. */
export interface Party extends Address {
  readonly id: string
  /** `host:port` */
  readonly name: string
}

/** A step that was not done, or not to its end, for a reason that was not seen before. */
export class StepRefused extends Error {
  constructor(
    why: string,
    readonly remedy = 'look again: shardq cluster fix',
  ) {
    super(why)
  }
}

/** What to type where replicas do not follow their master. */
export const LATE_REPLICAS = 'see which does not, and why: shardq cluster check; then again'

/** For a reason that is the node's: the next slot would be refused as well. */
export class NodeRefuses extends StepRefused {}

/** A node has no memory for what is to come, or threw keys away for what has come. */
export class NoRoomError extends NodeRefuses {}

/**
 * Valkey carries out a SETSLOT only when all replicas that are online have it, and refuses it after 2 s (NOREPLICAS). The node is as it was; a replica
 * that stood still carries it out when it runs on, and hears then from its master that it is not so.
 */
export class NoReplicasError extends NodeRefuses {
  constructor({ name }: Party) {
    super(`a replica of ${name} does not confirm a change of slots (NOREPLICAS)`, LATE_REPLICAS)
  }
}

export const keys = (count: number) => (count === 1 ? '1 key' : `${count} keys`)

/** Those of `parties` that are none of `named`. */
export const others = (parties: readonly Party[], named: readonly Party[]) =>
  parties.filter(({ id }) => !named.some((each) => each.id === id))
