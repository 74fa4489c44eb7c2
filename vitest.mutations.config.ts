import { defineConfig } from 'vitest/config'
import shared from './vitest.config.js'

/** What `npm run mutations` runs in a copy of the project: it ends at the first failure. */
export default defineConfig({
  test: {
    ...shared.test,
    include: ['test/**/*.test.ts'],
    exclude: [],
    globalSetup: ['test/mutations/single-server.ts'],
    maxWorkers: 1,
    fileParallelism: false,
    bail: 1,
  },
})
