import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { StormCluster } from './storm/cluster.js'
import type { FaultName } from './storm/faults.js'
import { localStormCluster } from './storm/local-storm-cluster.js'
import { Storm } from './storm/storm.js'

const NODE_TIMEOUT_MS = 1_000
const SEED = 7
/** A fault, its drain with all waits at their longest, and what was found written out. */
const FAULT_MS = 120_000

/**
 * Each a different way to lose a task or to run it twice. All kinds, in any number: npm run chaos. Whether the account would
 * notice: test/operations/account.test.ts.
 */
const SHORT: readonly FaultName[] = [
  'kill-master',
  'freeze-master-short',
  'replica-lag-then-kill',
  'restart-within-timeout',
  'kill-worker',
  'failover-and-back',
  'move-slots',
  'memory-full-one',
]

let cluster: StormCluster

beforeAll(async () => {
  cluster = await localStormCluster(NODE_TIMEOUT_MS)
})

afterAll(() => cluster?.dispose())

describe('a queue at work in a storm', () => {
  let storm: Storm

  beforeAll(async () => {
    storm = await Storm.start({ cluster, nodeTimeoutMs: NODE_TIMEOUT_MS, seed: SEED })
  })

  afterAll(() => storm?.stop())

  for (const kind of SHORT) {
    it(
      `keeps its promises: ${kind}`,
      async () => {
        const { violations, results, stories, findings } = await storm.fault(kind)
        const all = [...violations, ...results.flatMap((result) => result.violations)]
        const told = [
          ...results.flatMap(({ steps }) => steps),
          ...stories.flat().map((entry) => JSON.stringify(entry)),
        ].join('\n')
        expect(all, `seed ${SEED}\n${told}`).toEqual([])
        expect(findings.acknowledged).toBeGreaterThan(0)
      },
      FAULT_MS,
    )
  }
})
