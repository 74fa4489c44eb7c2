/**
 * `npm run operations [-- FILE ...]`: what a cluster goes through in a year, under load: growing, shrinking, rolling restarts,
 * upgrades, backups, restores, each broken off and taken up again. Takes longer than `npm test` may.
 */
import { join } from 'node:path'
import { findPrometheus, setup } from './setup.mjs'
import { node, root, step } from './steps.mjs'

await setup()
await findPrometheus()
const config = ['--config', join(root, 'vitest.operations.config.ts')]
await step('operations', () =>
  node(join(root, 'node_modules/vitest/vitest.mjs'), 'run', ...config, ...process.argv.slice(2)),
)
