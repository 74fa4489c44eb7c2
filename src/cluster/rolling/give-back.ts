import { withLink } from '../link.js'
import { changedBy } from '../owed/changed.js'
import type { Due } from '../owed/due.js'
import type { OwedNotes } from '../owed/notes.js'
import { giveBack } from '../owed/settle.js'
import { tellAgain } from '../owed/tell.js'
import { namesOf, type Told, toldSince } from '../owed/told.js'
import { isSameVersion, type ServerVersion } from '../version.js'
import { ASK_MS, type CarryOutOptions } from './carry-out.js'
import type { RollNode, Standing } from './standing.js'

/** Of a node that is back: it is told again what it was told before, and nothing that its files may say otherwise on purpose. */
export async function tellWhatIsLost(
  node: RollNode,
  server: ServerVersion,
  told: Told,
  defaults: ReadonlyMap<string, string> | null,
  { access, acceptFiles, onNote }: CarryOutOptions,
): Promise<Due> {
  return withLink(node, { ...access, timeoutMs: ASK_MS }, async (link) => {
    const upgrade = node.server && isSameVersion(node.server, server) ? null : { defaults }
    const { due, byFiles } = changedBy(told, await toldSince(told, link), upgrade)
    const accepted = acceptFiles ? [...byFiles, ...namesOf(due), ...due.unknown] : byFiles
    if (accepted.length > 0)
      onNote(`${node.name} came back with what its files say, and not ${accepted.join(', ')}`)
    return acceptFiles ? NOTHING : tellAgain(link, due)
  })
}

const NOTHING: Due = { settings: new Map(), users: [], unknown: [] }

/** Where its data are, of a node that was down already. Not known is no reason to say nothing of why it does not come back. */
export async function settingsNoted(node: RollNode, notes: OwedNotes) {
  const all = await notes.read().catch(() => [])
  const owed = all.find(({ kind, id }) => kind === 'restarted' && id === node.id)
  return owed?.kind === 'restarted'
    ? new Map(Object.entries({ ...owed.settings, ...owed.places }))
    : undefined
}

/** Of a node that was down: what it knew is known to whoever stopped it, who has written it down. */
export async function payNote(
  node: RollNode,
  { nodes }: Standing,
  { access, notes, acceptFiles }: CarryOutOptions,
): Promise<Due | null> {
  if (acceptFiles) return null
  const owed = (await notes.read()).find(({ kind, id }) => kind === 'restarted' && id === node.id)
  return owed ? giveBack(node, owed, nodes, access) : null
}
