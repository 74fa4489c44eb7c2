export { type Config, loadConfig } from './config/index.js'
export type {
  ClusterConnectionOptions,
  ConnectionOptions,
  NodeAddress,
  SingleConnectionOptions,
} from './connection/options.js'
export * from './errors.js'
export type { Checkpoint } from './queue/checkpoints.js'
export type { DeadLetter, DeadLetters } from './queue/dead-letters.js'
export type { Delivery } from './queue/delivery.js'
export type { Backoff, EnqueueOptions, Priority } from './queue/enqueue-options.js'
export type { ShardState } from './queue/gate.js'
export type { Depth, Health, ShardHealth } from './queue/inspection.js'
export type { Durability, QueueOptions, ReplicationOptions } from './queue/queue-options.js'
export { listQueues } from './queue/registry.js'
export {
  type AnyDelivery,
  type DequeueOptions,
  type NewItem,
  type QueueEvents,
  type Stats,
  TaskQueue,
  type TypeOf,
} from './queue/task-queue.js'
export type { Task, TaskState } from './queue/task-view.js'
export type { FaultKind, VerifyFault, VerifyProgress, VerifyReport } from './queue/verify/report.js'
export type { VerifyOptions } from './queue/verify.js'
export type { TaskContext } from './worker/context.js'
export {
  type Handlers,
  Worker,
  type WorkerEvents,
  type WorkerHealth,
  type WorkerMetrics,
  type WorkerOptions,
} from './worker/worker.js'
