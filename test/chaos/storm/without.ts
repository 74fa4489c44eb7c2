import type { FaultName } from './faults.js'
import type { Protection } from './messages.js'
import { Storm, type StormOptions } from './storm.js'

/** The fault that a protection is there for, and the word by which a violation shows that it is gone. */
const REVEALED: Record<Protection, { readonly by: FaultName; readonly as: RegExp }> = {
  wait: { by: 'replica-lag-then-kill', as: /acknowledged and lost/ },
  sequence: { by: 'freeze-master-short', as: /has a key and its worker lives|nothing to explain it/ },
  fencing: { by: 'freeze-worker', as: /completed twice/ },
  rerouting: { by: 'kill-master', as: /stood still/ },
}

/** A fault leaves something to chance: what was in flight just then. */
const MOST_TRIES = 4

/** Runs clients without a protection until the checker finds what is missing. @returns its words; undefined: it did not */
export async function findWithout(
  protection: Protection,
  options: Omit<StormOptions, 'without'>,
): Promise<string | undefined> {
  const { by, as } = REVEALED[protection]
  const storm = await Storm.start({ ...options, without: protection })
  try {
    for (let i = 0; i < MOST_TRIES; i++) {
      const { violations, results } = await storm.fault(by)
      const all = [...violations, ...results.flatMap((result) => result.violations)]
      const found = all.find(({ what }) => as.test(what))
      if (found) return found.what
    }
    return undefined
  } finally {
    await storm.stop()
  }
}
