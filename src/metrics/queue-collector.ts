import { register } from 'prom-client'
import { Surveyor } from '../queue/surveyor.js'
import type { Collector, CollectorOptions } from './cluster-collector.js'
import { observe, Samples, shared } from './observed.js'
import { QueueCounters } from './queue-counters.js'
import { QUEUE_FAMILIES, type QueueMetric } from './queue-families.js'
import { addQueue } from './queue-samples.js'
import { SCRAPE_FAMILIES, ScrapeLog, type ScrapeMetric } from './scrape-families.js'

export interface QueueCollectorOptions extends CollectorOptions {
  /** Most queues that have metrics, the first by name. Default 100. */
  readonly mostQueues?: number
}

/** Metrics of all queues that a cluster, or a single Redis, has. Found and looked at when they are scraped. */
export function queueCollector(options: QueueCollectorOptions): Collector {
  const surveyor = new Surveyor(options.connection, options)
  const counters = new QueueCounters()
  const log = new ScrapeLog('queues')
  const look = shared(async () => {
    const startedMs = performance.now()
    const { queues, error } = await surveyor.survey()
    const samples = new Samples<QueueMetric | ScrapeMetric>()
    for (const queue of queues) addQueue(samples, queue, counters.add(queue))
    counters.keep(new Set(queues.map(({ name }) => name)))
    const silent = queues.flatMap(({ partitions }) => partitions).filter((answer) => answer === undefined)
    log.add(samples, startedMs, silent.length + Number(error !== undefined))
    return samples
  })
  const remove = observe(options.registry ?? register, { ...QUEUE_FAMILIES, ...SCRAPE_FAMILIES }, look)
  return {
    async close() {
      remove()
      surveyor.close()
    },
  }
}
