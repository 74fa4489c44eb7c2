import { nameOf } from '../link.js'
import type { NodeView } from '../replies.js'
import { versionOf } from '../version.js'
import { witnessesOf } from '../views.js'
import { hasAddress } from './forget.js'
import type { Known } from './known.js'
import type { Left } from './steps.js'

/**
 * Masters that do not answer and own nothing any more, of a cluster that runs Valkey: none may get a slot that it may have been importing.
 * One that was to get slots when it died has the mark of
 * the import in its `nodes.conf`. Started again, it hears that the one which sent them has a slot no more, and claims it without having
 * asked whether another has got it; and it does so with a new epoch, by which it takes back all slots that it once had. Whoever was promoted in
 * its place becomes its replica, and loses what was written since. As long as the slot is still with the one that sent it, it claims nothing,
 * and follows whoever was promoted. Redis 7.0 to 8.0 never claim so. (`clusterUpdateSlotsConfigWith` in Valkey's cluster_legacy.c, 8.0 on.)
 */
export function mayClaimAgain(known: Known, forgotten: ReadonlySet<string>): NodeView[] {
  const runsValkey = witnessesOf(known.evidence.observation).some(
    ({ info }) => versionOf(info).flavour === 'Valkey',
  )
  return runsValkey
    ? known
        .mastersDown()
        .filter((node) => node.slots.length === 0 && hasAddress(node) && !forgotten.has(node.id))
    : []
}

/** Of slots that one of them may have been about to get. */
export const leftUntilBack =
  (from: string, to: string, down: readonly NodeView[]) =>
  (slots: string): Left => ({
    what: `${slots} of ${from} on the way to ${to}`,
    why:
      `${down.map(nameOf).join(', ')} does not answer, and may have been importing them: a Valkey server that is started again ` +
      'claims a slot that its old owner has no more, and all slots that it had itself',
    remedy:
      'start it again, and then once more: shardq cluster fix; or, if it is gone for good, and is never started on its nodes.conf again, with which ' +
      'it would claim them: shardq cluster fix ' +
      down.map(({ id }) => `--forget ${id}`).join(' '),
  })
