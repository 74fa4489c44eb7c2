/** A protection, how it is taken out of a copy of the project, and the tests that must notice. */
export interface Mutation {
  /** As given to `npm run mutations -- --only`. */
  readonly name: string
  /** What the protection is there for. */
  readonly protects: string
  /** All of them together. */
  readonly patches: readonly Patch[]
  readonly noticedBy: Notice
  /** Ms within which it must be noticed, once the tests have begun. Default 60,000. */
  readonly budgetMs?: number
}

export interface Patch {
  /** From the root of the project. */
  readonly file: string
  /** Stands there exactly once; else the run fails, and says so. */
  readonly find: string
  readonly put: string
}

/** Tests that pass with the protection and fail without; or a storm that is clean with it and not without. */
export type Notice =
  | {
      readonly files: readonly string[]
      /** Names of the tests, as a regular expression. */
      readonly only?: string
    }
  | {
      /** Arguments of `npm run chaos`. */
      readonly storm: readonly string[]
      /** What it says. */
      readonly as: RegExp
    }

export class PatchError extends Error {}

/** @throws PatchError unless what is looked for stands there exactly once */
export function patched(source: string, { file, find, put }: Patch): string {
  const times = source.split(find).length - 1
  if (times !== 1) throw new PatchError(`${file} has ${times} times, and not once: ${find}`)
  return source.replace(find, () => put)
}
