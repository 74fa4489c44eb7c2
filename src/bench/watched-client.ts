import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { ConnectionOptions } from '../connection/options.js'
import { instrument, Registry } from '../metrics/index.js'
import type { BenchClient, BenchSettings } from './client.js'
import { openWith } from './shardq-client.js'

const SCRAPE_MS = 1_000
const MAIN = fileURLToPath(new URL('../cli/main.js', import.meta.url))

/** As shardq-client, and all that is measured of it scraped every second: `shardq metrics`, and this process itself. */
export async function open(
  connection: ConnectionOptions,
  name: string,
  settings: BenchSettings,
): Promise<BenchClient> {
  const registry = new Registry()
  const { child, url } = await startEndpoint(connection)
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
      child.kill()
      await once(child, 'exit')
    },
  }
}

/** In a process of its own, as one runs it. @throws Error where the cluster needs a password, which is not for a command line */
async function startEndpoint(connection: ConnectionOptions) {
  if (connection.mode !== 'cluster' || connection.password !== undefined)
    throw new Error('watched-client knows only a cluster without a password')
  const [node] = connection.nodes
  const args = [MAIN, 'metrics', '--port', '0', '--node', `${node?.host}:${node?.port}`]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
  return { child, url: line.split(' ')[0] ?? '' }
}
