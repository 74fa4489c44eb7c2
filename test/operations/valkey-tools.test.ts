/** What does harm to clusters of its own, and what mends them, on Valkey: the same tests as on the server that is found first. */
import { ensureValkey } from '../../scripts/find-valkey.js'

process.env.SHARDQ_REDIS_PATH = (await ensureValkey()).path
for (const name of ['check', 'drill', 'durability', 'failover', 'fix', 'status'])
  await import(`../chaos/${name}.test.ts`)
