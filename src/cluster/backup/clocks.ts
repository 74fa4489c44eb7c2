import { RestoreRefusedError } from '../errors.js'
import type { NodeLink } from '../link.js'
import { notesOn } from '../own-keys.js'
import { countKeys } from './count.js'

/** What expires a second too soon is missed by nobody. */
export const MOST_APART_MS = 1_000

/** A node that is filled, or that reads. */
export interface Clock {
  readonly name: string
  readonly link: NodeLink
}

/** Ms since 1970 by the clock of a server, which decides what has expired there. */
export async function timeOf(link: NodeLink): Promise<number> {
  const [seconds, micros] = (await link.reply('TIME')) as [string, string]
  return Number(seconds) * 1000 + Math.floor(Number(micros) / 1000)
}

/**
 * A server leaves out, without a word, what has expired by its own clock: ours when it reads a file, and for as long as it has it; theirs when
 * they are given it. Which one is right nobody can tell here, so they have to be the same. The price: a machine whose clock is wrong
 * restores nothing but what lasts for ever.
 * @param keys in the file, without those that we have removed from that server. Where they are all there and none of them expires, no clock decides anything
 * @throws RestoreRefusedError
 */
export async function mustAgreeOnTime(
  nodes: readonly Clock[],
  reader: NodeLink,
  keys: number,
): Promise<void> {
  const { all, lasting } = await countKeys(reader)
  if (all === lasting && all + (await notesOn(reader)).length === keys) return
  for (const { name, link } of nodes) {
    const before = await timeOf(reader)
    const there = await timeOf(link)
    const after = await timeOf(reader)
    // It read its clock between these two, however long the way was.
    const here = Math.min(Math.max(there, before), after)
    if (Math.abs(there - here) <= MOST_APART_MS) continue
    throw new RestoreRefusedError(
      `the clock of ${name} says ${textOf(there)}, and that of this machine, on which the backup is read, ${textOf(here)}: by one of them ` +
        'keys have expired that live on by the other, and they would be lost; set both right (chronyc tracking, timedatectl), or ' +
        'restore from a machine whose clock is that of the cluster',
    )
  }
}

/** A node may answer anything. */
function textOf(ms: number): string {
  const date = new Date(ms)
  return Number.isNaN(date.getTime()) ? 'what is no time' : date.toISOString()
}
