import { defineConfig } from 'vitest/config'
import shared from './vitest.config.js'

/** What takes minutes, or much of the machine: `npm run operations`. One file at a time, since they measure. */
export default defineConfig({
  test: {
    ...shared.test,
    include: ['test/operations/**/*.test.ts'],
    maxWorkers: 1,
    fileParallelism: false,
    testTimeout: 600_000,
    hookTimeout: 120_000,
  },
})
