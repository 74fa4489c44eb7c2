/**
 * `npm run operations:faults [-- --operation NAME,NAME --kinds tool,source,target,link,pause --at N --step K --at-once M --redis-path
 * PATH]`: each operation is broken off before its calls in turn, then mended; every key and every task must be where it belongs, as it was.
 */
import { join } from 'node:path'
import { setup } from './setup.mjs'
import { node, root, step } from './steps.mjs'

await setup()
await step('operations, broken off', () =>
  node('--import', 'tsx', join(root, 'test/operations/faults/main.ts'), ...process.argv.slice(2)),
)
