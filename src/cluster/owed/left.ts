import type { Held } from '../operation/index.js'
import type { Unpaid } from './unpaid.js'
import { NOT_TOLD, TO_KEEP } from './words.js'

/** What nodes have not got back: what the operation has found and could not give back, and what it has lent itself. */
export const leftOf = ({ settled, unpaid }: Pick<Held, 'settled' | 'unpaid'>): Unpaid[] => [
  ...settled.flatMap(({ owed, node, due: { unknown } }) =>
    unknown.length === 0
      ? []
      : [
          {
            what: `${node} has not got back ${unknown.join(', ')} from a ${owed.operation} that was cut off`,
            why: NOT_TOLD,
            remedy: `${TO_KEEP}; if it is right as it is, this removes the note: shardq cluster fix`,
          },
        ],
  ),
  ...unpaid,
]

/** As it is told in the end: with what is left of everything else. */
export const withLeft = <Report extends { readonly left: readonly Unpaid[] }>(
  held: Pick<Held, 'settled' | 'unpaid'>,
  report: Report,
): Report => ({ ...report, left: [...report.left, ...leftOf(held)] })
