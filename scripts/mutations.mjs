/**
 * `npm run mutations [-- --only NAME,NAME] [--list] [--no-docs] [--pending]`: takes every protection out of a copy of the project, one at a time,
 * and has the tests notice (test/mutations/table.ts). The table with the measured times goes to docs/mutations.md when all were run.
 */
import { join } from 'node:path'
import { setup } from './setup.mjs'
import { node, root, step } from './steps.mjs'

await setup()
await step('mutations', () =>
  node('--import', 'tsx', join(root, 'test/mutations/main.ts'), ...process.argv.slice(2)),
)
