/**
 * `npm run regressions [-- FILE ...]`: every sequence of events that once broke a promise, the long ones
 * (test/regressions/long) too, which `npm test` leaves out to keep its time.
 */
import { join } from 'node:path'
import { setup } from './setup.mjs'
import { node, root, step } from './steps.mjs'

await setup()
const config = ['--config', join(root, 'vitest.regressions.config.ts')]
await step('regressions', () =>
  node(join(root, 'node_modules/vitest/vitest.mjs'), 'run', ...config, ...process.argv.slice(2)),
)
