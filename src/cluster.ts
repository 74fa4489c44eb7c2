/** `shardq/cluster`: create, inspect, stop, check and drill a Redis Cluster, from code. */
export * from './check/index.js'
export * from './cluster/index.js'
export * from './doctor/index.js'
export * from './drill/index.js'
