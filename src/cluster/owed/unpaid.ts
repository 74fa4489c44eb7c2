import { visible } from '../../visible.js'
import type { Address } from '../link.js'
import { OWED_KEY } from '../own-keys.js'
import { redisCli } from '../redis-cli.js'
import type { Lent, Owed } from './notes.js'

/** What is owed, and was not given back or not looked at. As what a fix leaves. */
export interface Unpaid {
  readonly what: string
  readonly why: string
  /** What to type or do. */
  readonly remedy: string
}

export interface Owes {
  /** Told of what a node was lent and has not got back. An operation names it in its report. */
  readonly onUnpaid?: (unpaid: Unpaid) => void
}

const MOST_FIELDS = 3
const MOST_CHARACTERS = 60

const AGAIN = 'then again: shardq cluster fix'

/** @param node `host:port` */
export const unpaid = (owed: Owed, node: string, { message: why }: Error): Unpaid => ({
  what: `${node} has not got back ${subjectOf(owed)} from a ${visible(owed.operation)} that was cut off`,
  why,
  remedy: AGAIN,
})

/** Lent by an operation that has come to its end. */
export const notBack = (owed: Lent, node: string, why: string): Unpaid => ({
  what: `${node} has not got back ${subjectOf(owed)}, which it was lent for the time of the ${owed.operation}`,
  why,
  remedy: AGAIN,
})

const subjectOf = (owed: Owed) =>
  owed.kind === 'lent' ? Object.keys(owed.settings).join(', ') : 'what it was told before its restart'

/** Whoever may write a key may write these: their names are shown, and are no part of what is to be typed. */
export function unreadable(fields: readonly string[], at: Address): Unpaid[] {
  if (fields.length === 0) return []
  const named = fields.slice(0, MOST_FIELDS).map((field) => visible(field.slice(0, MOST_CHARACTERS)))
  const more = fields.length > MOST_FIELDS ? ` and ${fields.length - MOST_FIELDS} more` : ''
  const [notes, them] = fields.length === 1 ? ['note', 'it'] : ['notes', 'them']
  return [
    {
      what: `${fields.length} ${notes} in ${OWED_KEY} of what nodes are owed: ${named.join(', ')}${more}`,
      why: 'nobody can read it: of another version of shardq, or of somebody else',
      remedy: `look at ${them}: ${redisCli(at, {}, `-c HGETALL ${OWED_KEY}`)}; and if nobody needs ${them}: ${redisCli(at, {}, `-c HDEL ${OWED_KEY} FIELD`)}`,
    },
  ]
}

export const noneReadable = ({ message: why }: Error): Unpaid => ({
  what: 'what nodes are owed by operations that were cut off',
  why,
  remedy: AGAIN,
})
