import type { Left } from '../cluster/index.js'
import type { Output } from './output.js'

/** What was left as it is, why, and what to do about it. */
export function printLeft(left: readonly Left[], output: Output): void {
  for (const { what, why, remedy } of left) {
    output.line(`${output.colors.red('✗ left:')} ${what}`)
    output.line(`    ${why}`)
    output.line(`    → ${remedy}`)
  }
}
