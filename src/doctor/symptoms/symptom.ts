import type { CheckName } from '../../check/table.js'

/** An error message that people meet, and what it means. */
export interface Symptom {
  /** How it is known. Matched anywhere in what was pasted. */
  readonly pattern: RegExp
  /** The guide's own name for it, where it has one. */
  readonly guide?: string
  /** What it says, in other words. May use what the pattern caught. */
  readonly means: (caught: readonly (string | undefined)[]) => string
  /** Why it happens, and what it costs. */
  readonly why: string
  /** Commands to type, those first that change nothing. */
  readonly mend: readonly string[]
  /** What to look at on the cluster itself: one of these is mostly behind it. */
  readonly checks: readonly CheckName[]
}
