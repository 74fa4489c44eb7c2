import { defineConfig } from 'vitest/config'
import shared from './vitest.config.js'

/** Failures that once broke a promise and take more than some seconds to play: `npm run regressions`. */
export default defineConfig({
  test: {
    ...shared.test,
    include: ['test/regressions/**/*.test.ts'],
    exclude: [],
    maxWorkers: 1,
    fileParallelism: false,
    testTimeout: 300_000,
    hookTimeout: 120_000,
  },
})
