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
    ...(unknown.length === 0
      ? []
      : [`${name} has come back without ${unknown.join(', ')} (${NOT_TOLD}); ${TO_KEEP}`]),
  ].join('; ')
}

/** Why. */
export const NOT_TOLD =
  'not told again, since it may have been told so at run time, or its files may say otherwise by now; or no other node has the same, it was told other things since its restart, or its server refuses it'

/** What to do. */
export const TO_KEEP =
  'to have it back, type on that node: CONFIG SET NAME VALUE and CONFIG REWRITE, or ACL SETUSER and ACL SAVE; users of shardq: shardq cluster users apply'

export const settledText = ({ owed, node, due }: Settled) =>
  owed.kind === 'restarted'
    ? hadForgotten(node, due)
    : `${node} got back ${namesIn(due).told.join(', ')} from a ${owed.operation} that was cut off`
