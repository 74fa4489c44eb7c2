/**
 * `npm run operations:pairs [-- --pairs 200 --seed N --at-once M --redis-path PATH --keep-going]`: two operators at once, with a queue and an
 * application of somebody else at work; nothing may be lost, and every refusal has to be explained.
 */
import { join } from 'node:path'
import { setup } from './setup.mjs'
import { node, root, step } from './steps.mjs'

await setup()
await step('two operators at once', () =>
  node('--import', 'tsx', join(root, 'test/operations/pairs/main.ts'), ...process.argv.slice(2)),
)
