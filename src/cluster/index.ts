/** `shardq/cluster`: create, inspect and stop a Redis Cluster on this machine, from code. */

export {
  type BackupManifest,
  type BackupOptions,
  type BackupProgress,
  type BackupReport,
  backupCluster,
  type RestoredFile,
  type RestoreOptions,
  type RestoreProgress,
  type RestoreReport,
  restoreCluster,
  type ShardFile,
  type VerifiedFile,
  type VerifyOptions,
  type VerifyReport,
  verifyBackup,
} from './backup/index.js'
export {
  type BalancePlan,
  type Flow,
  type PlannedRebalance,
  planRebalance,
  type RebalanceOptions,
  type RebalanceProgress,
  type RebalanceReport,
  type Share,
} from './balance/index.js'
export {
  type CreatedCluster,
  type CreateOptions,
  type CreatePlan,
  createCluster,
  isOneCluster,
  type NewNode,
  type PlannedCreate,
  type PlannedNode,
  planCreate,
} from './create/index.js'
export { DEFAULT_DATA_DIR, localTarget } from './data-dir.js'
export * from './errors.js'
export {
  type EnsureOptions,
  ensureServer,
  type FindOptions,
  findServer,
  type RedisServer,
} from './find-server.js'
export {
  FIREWALLS,
  type Firewall,
  type FirewalledNode,
  firewallRules,
  type HostRules,
} from './firewall.js'
export {
  commandsOf,
  describe as describeStep,
  type FixOptions,
  type FixPlan,
  type FixProgress,
  type FixReport,
  type FixStep,
  type Left,
  type PlannedFix,
  planFix,
} from './fix/index.js'
export { type ClusterStatus, inspect, inspectAny } from './inspect.js'
export { type Address, type LinkOptions, nameOf } from './link.js'
export { LocalCluster, type LocalNode } from './local-cluster.js'
export {
  type AddLocalOptions,
  type AddOptions,
  type AddReport,
  type AddStep,
  addLocalNodes,
  addNodes,
  type ForgottenNode,
  leaveOutForgotten,
  type NodeToAdd,
  type PlannedRemoval,
  planLocalRemoval,
  planRemoval,
  type RemoveLocalOptions,
  type RemoveOptions,
  type RemoveReport,
  type RemoveStep,
  rolesFor,
} from './membership/index.js'
export { type MoveOptions, type MoveProgress, moveSlots, type Party, type SlotMove } from './move/index.js'
export { PROFILES, type Profile, type Settings } from './node-config.js'
export {
  type NodeObservation,
  type Observation,
  Observer,
  type ObserverOptions,
} from './observer.js'
export { openCluster } from './open.js'
export { type Held, type Holder, type OperationOptions, withOperation } from './operation/index.js'
export {
  type ClusterPicture,
  type NodePicture,
  pictureOf,
  type ShardPicture,
  shardsOf,
} from './picture.js'
export { freePorts } from './ports.js'
export type { NodeView } from './replies.js'
export {
  describeRoll,
  type PlannedRoll,
  planRolling,
  type RollingOptions,
  type RollProgress,
  type RollReport,
  type RollStep,
} from './rolling/index.js'
export {
  CERTIFICATE_FILES,
  type CertificateSet,
  type CertificatesOptions,
  LOOPBACK_HOSTS,
  makeCertificates,
} from './security/certificates.js'
export { accessFor, isLocal, type LocalTarget } from './security/whom.js'
export { checkServedHere } from './served-here.js'
export { type SingleOptions, type SingleServer, startSingle } from './single.js'
export { type StopOptions, type StoppedNode, type StopReport, stopCluster } from './stop.js'
export { startCluster } from './up.js'
export type { TlsUpOptions, UpOptions, UpStep } from './up-options.js'
export * from './users/index.js'
