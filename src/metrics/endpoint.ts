import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { Hono } from 'hono'
import { Registry } from 'prom-client'
import type { ConnectionOptions } from '../connection/options.js'
import { ListenError } from '../errors.js'
import { visible } from '../visible.js'
import { clusterCollector } from './cluster-collector.js'
import { queueCollector } from './queue-collector.js'

export interface EndpointOptions {
  readonly connection: ConnectionOptions
  /** Default 9121; 0 for any that is free. */
  readonly port?: number
  /** Where to listen. Default 127.0.0.1: what it tells is for nobody else, unless you say so. */
  readonly host?: string
  /** Longest wait for a node, in ms. Default 1,000. */
  readonly timeoutMs?: number
}

export interface Endpoint {
  /** `http://127.0.0.1:9121` */
  readonly url: string
  readonly host: string
  readonly port: number
  /** Lets scrapes that are under way end, and closes every connection. */
  close(): Promise<void>
}

/** That of redis_exporter. */
export const DEFAULT_PORT = 9121

/** How old, in ms, the answer to `/readyz` may be: a load balancer that asks often must not be a load. */
const READY_WITHIN_MS = 1_000

/**
 * Serves `/metrics` for Prometheus; `/healthz`, which says that this process lives; and `/readyz`, which says whether any node
 * answers (200, else 503). @throws ListenError
 */
export async function startEndpoint(options: EndpointOptions): Promise<Endpoint> {
  const { port = DEFAULT_PORT, host = '127.0.0.1', timeoutMs = 1_000 } = options
  const registry = new Registry()
  const common = { connection: options.connection, timeoutMs, registry }
  const cluster = clusterCollector(common)
  const queues = queueCollector(common)
  const app = new Hono()
  app.get('/metrics', async (context) => {
    return context.body(await registry.metrics(), 200, { 'Content-Type': registry.contentType })
  })
  app.get('/healthz', (context) => context.text('ok\n'))
  app.get('/readyz', async (context) => {
    const { nodes } = await cluster.observation(READY_WITHIN_MS)
    const silent = nodes.flatMap((node) => (node.up ? [] : [visible(`${node.name}: ${node.error.message}`)]))
    const up = nodes.length - silent.length
    const lines = [`${up} of ${nodes.length} nodes answer`, ...silent]
    return context.text(`${lines.join('\n')}\n`, up > 0 ? 200 : 503)
  })
  app.get('/', (context) => context.text('/metrics\n/healthz\n/readyz\n'))
  const closeCollectors = () => Promise.all([cluster.close(), queues.close()])
  try {
    const server = createServer(getRequestListener(app.fetch))
    const listening = await listen(server, port, host)
    const name = host.includes(':') ? `[${host}]` : host
    return {
      url: `http://${name}:${listening}`,
      host,
      port: listening,
      async close() {
        const closed = once(server, 'close')
        server.close()
        // A scrape has been answered by then; who only holds a connection open would hold us up for a minute.
        const timer = setTimeout(() => server.closeAllConnections(), 2 * timeoutMs)
        await closed
        clearTimeout(timer)
        await closeCollectors()
      },
    }
  } catch (error) {
    await closeCollectors()
    throw error
  }
}

async function listen(server: Server, port: number, host: string): Promise<number> {
  try {
    server.listen(port, host)
    await once(server, 'listening')
  } catch (cause) {
    throw new ListenError(host, port, { cause: cause as Error })
  }
  return (server.address() as AddressInfo).port
}
