import type { ForgottenNode, Left } from '../cluster/index.js'
import type { Output } from './output.js'

/** What was left as it is, why, and what to do about it. */
export function printLeft(left: readonly Left[], output: Output): void {
  for (const { what, why, remedy } of left) {
    output.line(`${output.colors.red('✗ left:')} ${what}`)
    output.line(`    ${why}`)
    output.line(`    → ${remedy}`)
  }
}

/** The end of a sentence on a node that the cluster has forgotten. */
export const dataStays = ({ dir }: ForgottenNode) =>
  dir === null ? '' : `; its data stays in ${dir}; remove it when nobody needs it`
