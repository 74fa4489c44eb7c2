import { type Due, namesIn } from './due.js'
import type { Settled } from './settle.js'

/** One sentence for what the node of that name was told again, and one for what it was not. */
export function hadForgotten(name: string, due: Due): string {
  const { told, unknown } = namesIn(due)
  return [
    ...(told.length === 0
      ? []
      : [
          `${name} had forgotten ${told.join(', ')}, told to it by CONFIG SET or ACL SETUSER and never written down; it was told again, and would forget again`,
        ]),
    ...(unknown.length === 0 ? [] : [`${name} had forgotten ${unknown.join(', ')} ${NOT_TOLD}`]),
  ].join('; ')
}

/** Why, and what to do. */
const NOT_TOLD =
  '(not told again, since no other node has the same, or it was told other things since its restart: set what is to be otherwise with CONFIG SET or ACL SETUSER, users of shardq with shardq cluster users apply)'

export const settledText = ({ owed, node, due }: Settled) =>
  owed.kind === 'restarted'
    ? hadForgotten(node, due)
    : `${node} got back ${namesIn(due).told.join(', ')} from a ${owed.operation} that was cut off`
