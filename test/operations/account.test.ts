import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { StormCluster } from '../chaos/storm/cluster.js'
import { localStormCluster } from '../chaos/storm/local-storm-cluster.js'
import { PROTECTIONS } from '../chaos/storm/messages.js'
import { findWithout } from '../chaos/storm/without.js'

const NODE_TIMEOUT_MS = 1_000
const SEED = 7
const FAULT_MS = 120_000

let cluster: StormCluster

beforeAll(async () => {
  cluster = await localStormCluster(NODE_TIMEOUT_MS)
})

afterAll(() => cluster?.dispose())

describe('the account of the storm', () => {
  for (const protection of PROTECTIONS) {
    it(
      `shows that a protection is off: ${protection}`,
      async () => {
        const found = await findWithout(protection, { cluster, nodeTimeoutMs: NODE_TIMEOUT_MS, seed: SEED })
        expect(found, `nothing shows that ${protection} is off`).toBeDefined()
      },
      FAULT_MS,
    )
  }
})
