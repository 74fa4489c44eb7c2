import type { NodeLink } from '../link.js'
import { ownKeysOn } from '../own-keys.js'
import { parseFields } from '../replies.js'

/** Keys of a server, without the notes of the tools. */
export interface KeyCount {
  readonly all: number
  /** Without a time to live, and no field of which has one. */
  readonly lasting: number
  /** Hashes of which fields have times to live, from Redis 7.4 and Valkey 9 on; they may run out, or become such as last. */
  readonly withFieldTimes: number
}

/** @param own names of our notes that it serves. Default: all */
export async function countKeys(link: NodeLink, own?: readonly string[]): Promise<KeyCount> {
  const { all, expiring, withFieldTimes } = await keyspaceOf(link)
  const notes = (await ownKeysOn(link, own)).filter(({ isNote }) => isNote)
  return {
    all: all - notes.length,
    lasting: all - expiring - withFieldTimes - notes.filter(({ expires }) => !expires).length,
    withFieldTimes,
  }
}

/** Whether fields of any hash run out by themselves, or have, and are in its length still. */
export const hasFieldTimes = async (link: NodeLink) => (await keyspaceOf(link)).withFieldTimes > 0

async function keyspaceOf(link: NodeLink) {
  const text = parseFields(await link.text('INFO', 'keyspace')).get('db0') ?? ''
  // The second name is that of Valkey.
  const count = (name: string) => Number(new RegExp(`\\b(?:${name})=(\\d+)`).exec(text)?.[1] ?? 0)
  return {
    all: count('keys'),
    expiring: count('expires'),
    withFieldTimes: count('subexpiry|keys_with_volatile_items'),
  }
}
