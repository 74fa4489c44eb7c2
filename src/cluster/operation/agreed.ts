import { PlanChangedError } from '../errors.js'

/** One thing that an operation does, by what makes it the same in two plans: not by how many keys it was found to have. */
export interface Deed {
  /** Equal for the same thing: `assign 405 to 3c1f...`. */
  readonly id: string
  /** One sentence for people. */
  readonly what: string
}

/**
 * A plan may have waited for its `yes` for an hour, and another operation may have run meanwhile. So it is made once more under the lock,
 * and carried out only if nothing is in it that was not in the one that was agreed to. What somebody else has done meanwhile is done.
 * @throws PlanChangedError, before anything was done
 */
export function mustBeAgreed(operation: string, agreed: readonly Deed[], now: readonly Deed[]): void {
  const known = new Set(agreed.map(({ id }) => id))
  const unknown = now.filter(({ id }) => !known.has(id))
  if (unknown.length > 0) throw new PlanChangedError(operation, [...new Set(unknown.map(({ what }) => what))])
}

export interface RunOptions {
  /** Whoever agreed has agreed to whatever is to be done by then, as with `--yes`. Default false: to the plan, and to no more. */
  readonly evenIfChanged?: boolean
}
