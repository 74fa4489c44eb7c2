import { instrument, Registry } from '../metrics/index.js'
import type { ContenderModule } from './client.js'
import { openWith } from './shardq-client.js'

const SCRAPE_MS = 1_000

/** Where `shardq metrics` listens, for processes that this one starts. */
export const ENDPOINT_VARIABLE = 'SHARDQ_BENCH_ENDPOINT'

/** As shardq-client, with all that can be measured of it scraped every second: from the endpoint, and from this process. */
export const open: ContenderModule['open'] = async (connection, name, settings) => {
  const registry = new Registry()
  const url = process.env[ENDPOINT_VARIABLE]
  if (url === undefined) throw new Error(`${ENDPOINT_VARIABLE} is not set`)
  let scrape: Promise<unknown> = Promise.resolve()
  const timer = setInterval(() => {
    scrape = Promise.all([fetch(url).then((response) => response.text()), registry.metrics()])
  }, SCRAPE_MS)
  const client = await openWith(connection, name, settings, (subject) => instrument(subject, { registry }))
  return {
    ...client,
    async close() {
      clearInterval(timer)
      await scrape
      await client.close()
    },
  }
}
