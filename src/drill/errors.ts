import { ShardqError } from '../errors.js'

/** A drill strikes only what is well. Nothing was done. Decision: mend what is missing, then drill. */
export class ClusterNotWholeError extends ShardqError {
  constructor(
    readonly missing: readonly string[],
    options?: ErrorOptions,
  ) {
    super(
      `the cluster is not whole, so it is no time for a drill: ${missing.join('; ')}; nothing was done`,
      options,
    )
  }
}

/** A server does not permit the command that this drill needs. Nothing was done. Decision: permit it, or another kind. */
export class DrillNotPermittedError extends ShardqError {
  constructor(
    readonly kind: string,
    readonly node: string,
    /** The setting, or the command of an access list, that stands in the way. */
    readonly setting: string,
    options?: ErrorOptions,
  ) {
    super(
      `${node} does not permit the drill ${kind}: it needs ${setting}; set that on the server, or choose another ` +
        'kind, such as failover; nothing was done',
      options,
    )
  }
}

/** The drill ended, and not all that it had done could be undone. Decision: do by hand what `undone` names. */
export class DrillNotHealedError extends ShardqError {
  constructor(
    readonly undone: readonly string[],
    options?: ErrorOptions,
  ) {
    super(`the drill could not undo all that it did; to be done by hand: ${undone.join('; ')}`, options)
  }
}
