/** `shardq/metrics`: what a cluster and its queues do, for Prometheus. */
export { Registry, register } from 'prom-client'
export {
  type ClusterCollector,
  type Collector,
  type CollectorOptions,
  clusterCollector,
} from './cluster-collector.js'
export { type Endpoint, type EndpointOptions, startEndpoint } from './endpoint.js'
export { type InstrumentOptions, instrument } from './instrument.js'
export { type QueueCollectorOptions, queueCollector } from './queue-collector.js'
