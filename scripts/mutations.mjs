/**
 * `npm run mutations [-- --only NAME,NAME] [--list] [--no-docs]`: takes every protection out of a copy of the project, one at a time,
 * and has the tests notice (test/mutations/table.ts). The measured times go to docs/mutations.md, whose other rows stay.
 */
import { join } from 'node:path'
import { setup } from './setup.mjs'
import { node, root, step } from './steps.mjs'

await setup()
await step('mutations', () =>
  node('--import', 'tsx', join(root, 'test/mutations/main.ts'), ...process.argv.slice(2)),
)
