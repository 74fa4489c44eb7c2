import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/{unit,fake,single,cluster,regressions,chaos,deploy,docs}/**/*.test.ts'],
    exclude: ['test/regressions/long/**'],
    globalSetup: ['test/setup/servers.ts'],
    // The tests share one cluster and often wait for servers; more workers would only slow each other down.
    maxWorkers: 2,
    testTimeout: 20_000,
    hookTimeout: 40_000,
    // Installing a server on a bare machine happens in the global set-up, which has no time-out of its own.
    teardownTimeout: 20_000,
    retry: 0,
  },
})
