/**
 * `npm run operations:faults [-- --operation NAME,NAME --kinds tool,source,target,link,pause --at N --step K --at-once M --redis-path
 * PATH]`: each operation is broken off before its calls in turn, then mended; every key and every task must be where it belongs, as it was.
 */
import { compile } from './compiled.mjs'
import { setup } from './setup.mjs'
import { node, step } from './steps.mjs'

await setup()
const compiled = compile()
await step('operations, broken off', () =>
  node(compiled('test/operations/faults/main.ts'), ...process.argv.slice(2)),
)
