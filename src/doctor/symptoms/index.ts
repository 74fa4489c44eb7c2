import { FROM_SERVERS } from './from-servers.js'
import { FROM_SHARDQ } from './from-shardq.js'
import { FROM_SYSTEMS } from './from-systems.js'
import { FROM_TLS } from './from-tls.js'
import type { Symptom } from './symptom.js'

/** Error messages that are known, our own first: what they wrap is explained after them. */
export const SYMPTOMS: Readonly<Record<string, Symptom>> = {
  ...FROM_SHARDQ,
  ...FROM_SERVERS,
  ...FROM_SYSTEMS,
  ...FROM_TLS,
}

/** What an error message means. Nothing of the message itself is in it but slots and addresses: it may hold secrets. */
export interface Explanation {
  readonly symptom: string
  /** The guide's own name for it, where it has one. */
  readonly guide: string | null
  readonly means: string
  readonly why: string
  readonly mend: readonly string[]
  /** Names of the checks of which one is mostly behind it. */
  readonly checks: readonly string[]
}

/** Everything that is known in a text, which may hold several errors, one within the other. */
export function explain(text: string): Explanation[] {
  return Object.entries(SYMPTOMS).flatMap(([symptom, { pattern, guide, means, why, mend, checks }]) => {
    const caught = pattern.exec(text)
    return caught ? [{ symptom, guide: guide ?? null, means: means(caught), why, mend, checks }] : []
  })
}
