import { WitnessSilentError } from '../errors.js'
import type { LinkOptions } from '../link.js'
import type { Nodes } from '../move/nodes.js'
import { observe } from '../observer.js'
import { type Owed, OwedNotes } from '../owed/notes.js'
import { everyoneIn, giveBack } from '../owed/settle.js'
import { NOT_TOLD, TO_KEEP } from '../owed/words.js'
import { type FixStep, type Party, StepRefused } from './steps.js'

/**
 * The note goes when the node was told all that is sure, and all were seen who may have the rest. That one of them was not is told by the look that
 * follows.
 */
export async function giveItBack(
  { access }: Nodes,
  { node, owed, told }: Extract<FixStep, { kind: 'give-back' }>,
  masters: readonly Party[],
): Promise<'done'> {
  const everyone = everyoneIn(await observe(masters, access))
  const due = await giveBack(node, owed, everyone, access).catch((error: Error) => {
    if (told.length === 0 || !(error instanceof WitnessSilentError)) throw error
    return null
  })
  if (due === null) return 'done'
  // A setting that is lent has to be given back: what its server refuses now it may take later.
  if (due.unknown.length === 0 || owed.kind !== 'lent') await clear(owed, masters, access)
  if (due.unknown.length === 0) return 'done'
  throw new StepRefused(
    `${due.unknown.join(', ')}: ${NOT_TOLD}`,
    `look at it; it may be right as it is; ${TO_KEEP}`,
  )
}

async function clear(owed: Owed, masters: readonly Party[], access: LinkOptions): Promise<void> {
  const notes = new OwedNotes(masters, access)
  try {
    await notes.clear(owed)
  } finally {
    notes.close()
  }
}
