import { rm, writeFile } from 'node:fs/promises'
import { instrument, Registry } from '../metrics/index.js'
import type { ContenderModule } from './client.js'
import { openWith } from './shardq-client.js'

const SCRAPE_MS = 1_000
/** Code that has never run costs several times what it costs from then on. */
const WARM_UP_SCRAPES = 5

/** Names a file that is there while this contender is at work, for whoever scrapes the cluster meanwhile. */
export const FLAG_VARIABLE = 'SHARDQ_BENCH_FLAG'

/** As shardq-client, and this process counts by task type and is scraped every second. */
export const open: ContenderModule['open'] = async (connection, name, settings) => {
  const flag = process.env[FLAG_VARIABLE]
  if (flag === undefined) throw new Error(`${FLAG_VARIABLE} is not set`)
  const registry = new Registry()
  const client = await openWith(connection, name, settings, (subject) => instrument(subject, { registry }))
  for (let i = 0; i < WARM_UP_SCRAPES; i++) await registry.metrics()
  const timer = setInterval(() => void registry.metrics(), SCRAPE_MS)
  await writeFile(flag, '')
  return {
    ...client,
    async close() {
      clearInterval(timer)
      await rm(flag)
      await client.close()
    },
  }
}
