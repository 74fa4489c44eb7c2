import type { NodeLink } from '../link.js'
import { ownKeysOn } from '../own-keys.js'
import { parseFields } from '../replies.js'

/** Keys of a server, without the notes of the tools. */
export interface KeyCount {
  readonly all: number
  /** Without a time to live, and no field of which has one. */
  readonly lasting: number
  /** Hashes of which fields have times to live, from Redis 7.4 on; they may run out, or become such as last. */
  readonly withFieldTimes: number
}

/** @param own names of our notes that it serves. Default: all */
export async function countKeys(link: NodeLink, own?: readonly string[]): Promise<KeyCount> {
  const text = parseFields(await link.text('INFO', 'keyspace')).get('db0') ?? 'keys=0,expires=0'
  const [, all = 0, expiring = 0] = /keys=(\d+),expires=(\d+)/.exec(text) ?? []
  const withFieldTimes = Number(/subexpiry=(\d+)/.exec(text)?.[1] ?? 0)
  const notes = (await ownKeysOn(link, own)).filter(({ isNote }) => isNote)
  return {
    all: Number(all) - notes.length,
    lasting: Number(all) - Number(expiring) - withFieldTimes - notes.filter(({ expires }) => !expires).length,
    withFieldTimes,
  }
}
