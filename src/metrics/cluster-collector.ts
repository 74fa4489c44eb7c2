import { type Registry, register } from 'prom-client'
import { type Observation, Observer } from '../cluster/index.js'
import type { ConnectionOptions } from '../connection/options.js'
import { accessOf, resolveTarget } from '../connection/target.js'
import { addCluster } from './cluster-samples.js'
import { CLUSTER_FAMILIES, type ClusterMetric, NODE_FAMILIES, type NodeMetric } from './node-families.js'
import { addNode } from './node-samples.js'
import { observe, Samples, shared } from './observed.js'
import { SCRAPE_FAMILIES, ScrapeLog, type ScrapeMetric } from './scrape-families.js'

export interface CollectorOptions {
  /** Any node of the cluster is enough, the others are found; or a single server. Nodes are called by what they announce. */
  readonly connection: ConnectionOptions
  /** Longest wait for a node, in ms. Default 1,000. One that is silent costs a scrape so much, and no more. */
  readonly timeoutMs?: number
  /** Default: prom-client's own. */
  readonly registry?: Registry
}

export interface Collector {
  /** Takes the metrics out of the registry and closes every connection. */
  close(): Promise<void>
}

export interface ClusterCollector extends Collector {
  /** What the nodes said at the last look, if that was within `withinMs`; else what they say now. */
  observation(withinMs: number): Promise<Observation>
}

/** Metrics of all nodes of a cluster, and of the cluster as a whole; they are asked at each scrape. */
export function clusterCollector(options: CollectorOptions): ClusterCollector {
  const observer = new Observer(resolveTarget(options.connection).seeds, {
    ...(options.timeoutMs === undefined ? {} : { timeoutMs: options.timeoutMs }),
    ...accessOf(options.connection),
  })
  let last: Observation | undefined
  const log = new ScrapeLog('nodes')
  let closed = false
  const look = shared(async () => {
    const startedMs = performance.now()
    const observation = await observer.observe()
    if (closed) observer.close()
    last = observation
    const samples = new Samples<NodeMetric | ClusterMetric | ScrapeMetric>()
    for (const node of observation.nodes) addNode(samples, node)
    addCluster(samples, observation)
    log.add(samples, startedMs, observation.nodes.filter(({ up }) => !up).length)
    return { observation, samples }
  })
  const families = { ...NODE_FAMILIES, ...CLUSTER_FAMILIES, ...SCRAPE_FAMILIES }
  const remove = observe(options.registry ?? register, families, async () => (await look()).samples)
  return {
    async observation(withinMs) {
      if (last && Date.now() - last.atMs < withinMs) return last
      return (await look()).observation
    },
    async close() {
      closed = true
      remove()
      observer.close()
    },
  }
}
