/** What can be wrong with a cluster, as a table, and the look at a running one that finds it. */
export type { Check as ClusterCheck, Finding, Severity } from './check.js'
export { type CheckedNode, type CheckOptions, type CheckReport, checkCluster } from './run.js'
export { CHECKS, type CheckName, THEMES } from './table.js'
