/** `shardq/cluster`: create, inspect, stop and drill a Redis Cluster, from code. */
export * from './cluster/index.js'
export * from './drill/index.js'
