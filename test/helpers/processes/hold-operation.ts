/** A process of its own that holds the operation lock of a cluster until it is killed: `hold-operation.ts SEEDS_JSON`. */
import { type Address, withOperation } from '../../../src/cluster/index.js'

const seeds = JSON.parse(process.argv[2] as string) as Address[]
await withOperation(seeds, {}, { name: 'rebalance' }, undefined, () => {
  process.send?.({ held: true })
  return new Promise<never>(() => setInterval(() => {}, 60_000))
})
