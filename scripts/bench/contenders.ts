/** Who takes part, each with what suits it best. */
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Contender } from '../../src/bench/index.js'

const here = (path: string) => new URL(path, import.meta.url).href

/** As it is published: compiled. */
export const SHARDQ: Contender = {
  name: 'shardq',
  module: here('../../dist/bench/shardq-client.js'),
  scale: 1,
  concurrency: 1_000,
}

/** The shardq of another checkout, built, so that two commits can be compared in one run. */
export const checkoutAt = (dir: string): Contender => ({
  ...SHARDQ,
  name: 'checkout',
  module: pathToFileURL(resolve(dir, 'dist/bench/shardq-client.js')).href,
})

const FLOOR: Contender = {
  name: 'floor',
  module: here('../../dist/bench/floor-client.js'),
  scale: 1,
  concurrency: 1_000,
}

const BULLMQ: Contender = { name: 'BullMQ', module: here('./bullmq.ts'), scale: 0.3, concurrency: 100 }

export const ON_A_CLUSTER: readonly Contender[] = [
  SHARDQ,
  FLOOR,
  BULLMQ,
  {
    name: 'BullMQ, a queue per master',
    module: here('./bullmq-per-master.ts'),
    scale: 0.3,
    concurrency: 100,
  },
]

export const ON_ONE_SERVER: readonly Contender[] = [
  SHARDQ,
  FLOOR,
  BULLMQ,
  { name: 'bee-queue', module: here('./bee-queue.ts'), scale: 0.5, concurrency: 100 },
  { name: 'Bull', module: here('./bull.ts'), scale: 0.3, concurrency: 100 },
]

export const withPartitions = (count: number): Contender => ({
  ...SHARDQ,
  name: `${count} partitions`,
  settings: { partitions: count },
})
