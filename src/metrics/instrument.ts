import { type Registry, register } from 'prom-client'
import { type ClientStats, TaskQueue } from '../queue/task-queue.js'
import { Durations } from '../queue/timings.js'
import { checkInteger } from '../queue/validate.js'
import type { Outcome } from '../worker/watcher.js'
import type { Worker } from '../worker/worker.js'
import { addHistogram } from './histogram.js'
import { type Family, observe, Samples } from './observed.js'

export interface InstrumentOptions {
  /** Default: prom-client's own. */
  readonly registry?: Registry
  /** Most task types that have a label of their own, the first that come; all others are `other`. Default 50. */
  readonly mostTypes?: number
}

export const WORKER_FAMILIES = {
  task_queue_worker_tasks_total: {
    type: 'counter',
    help: 'Attempts of this process by outcome: completed, failed (and tried again), dead',
    labels: ['queue', 'type', 'outcome'],
  },
  task_queue_worker_wait_seconds: {
    type: 'histogram',
    help: 'From enqueue to the start of the handler in this process, of all attempts',
    labels: ['queue', 'type'],
  },
  task_queue_worker_processing_seconds: {
    type: 'histogram',
    help: 'From start to end of handlers in this process',
    labels: ['queue', 'type'],
  },
  task_queue_worker_active: { type: 'gauge', help: 'Handlers under way in this process', labels: ['queue'] },
} as const satisfies Record<string, Family>

export const CLIENT_FAMILIES = {
  task_queue_client_tasks_total: {
    type: 'counter',
    help: 'Tasks of this process whose way was not the usual: rerouted, unconfirmed, accepted, voided, restored',
    labels: ['queue', 'event'],
  },
  task_queue_client_commands_total: {
    type: 'counter',
    help: 'Commands that this process has sent to a node',
    labels: ['queue', 'instance'],
  },
  task_queue_client_faults_total: {
    type: 'counter',
    help: 'What went wrong with them: redirect, timeout, lost (the connection)',
    labels: ['queue', 'instance', 'fault'],
  },
} as const satisfies Record<string, Family>

const OTHER = 'other'

type WorkerMetric = keyof typeof WORKER_FAMILIES
type ClientMetric = keyof typeof CLIENT_FAMILIES

/**
 * Metrics of this process: of a worker by task type, of a queue (one that enqueues) by what went wrong on the way and by node.
 * Costs two readings of a clock and a few additions for each task, whatever is scraped. A worker has one such account at a time.
 * @returns takes them out of the registry again
 * @throws InvalidOptionError
 */
export function instrument<Tasks>(
  subject: Worker<Tasks> | TaskQueue<Tasks>,
  options: InstrumentOptions = {},
): () => void {
  const { registry = register, mostTypes = 50 } = options
  checkInteger('options.mostTypes', mostTypes, 0, 10_000)
  return subject instanceof TaskQueue
    ? instrumentClient(subject, registry)
    : instrumentWorker(subject, registry, mostTypes)
}

class TypeAccount {
  readonly wait = new Durations()
  readonly processing = new Durations()
  readonly outcomes: Record<Outcome, number> = { completed: 0, failed: 0, dead: 0 }
}

function instrumentWorker<Tasks>(worker: Worker<Tasks>, registry: Registry, mostTypes: number): () => void {
  const accounts = new Map<string, TypeAccount>()
  const accountOf = (type: string): TypeAccount => {
    const known = accounts.get(type)
    if (known) return known
    const label = accounts.size < mostTypes ? type : OTHER
    const account = accounts.get(label) ?? new TypeAccount()
    accounts.set(label, account)
    return account
  }
  worker.watch({
    started: (type, waitedMs) => accountOf(type).wait.add(waitedMs),
    ended: (type, tookMs) => accountOf(type).processing.add(tookMs),
    settled: (type, outcome) => {
      accountOf(type).outcomes[outcome]++
    },
  })
  const queue = worker.queue.name
  const remove = observe(registry, WORKER_FAMILIES, async () => {
    const samples = new Samples<WorkerMetric>()
    for (const [type, { wait, processing, outcomes }] of accounts) {
      const labels = { queue, type }
      for (const [outcome, count] of Object.entries(outcomes))
        samples.add('task_queue_worker_tasks_total', { ...labels, outcome }, count)
      addHistogram(samples, 'task_queue_worker_wait_seconds', labels, wait)
      addHistogram(samples, 'task_queue_worker_processing_seconds', labels, processing)
    }
    samples.add('task_queue_worker_active', { queue }, worker.health().active)
    return samples
  })
  return () => {
    worker.watch(undefined)
    remove()
  }
}

function instrumentClient<Tasks>(queue: TaskQueue<Tasks>, registry: Registry): () => void {
  let last: ClientStats | undefined
  return observe(registry, CLIENT_FAMILIES, async () => {
    // A queue that was disconnected has still done what it has done.
    last = queue.clientStats ?? last
    const samples = new Samples<ClientMetric>()
    if (last) addClient(samples, queue.name, last)
    return samples
  })
}

function addClient(samples: Samples<ClientMetric>, queue: string, stats: ClientStats): void {
  const { reroutes, unconfirmed, accepted, voided, restored } = stats
  for (const [event, count] of Object.entries({
    rerouted: reroutes,
    unconfirmed,
    accepted,
    voided,
    restored,
  }))
    samples.add('task_queue_client_tasks_total', { queue, event }, count)
  for (const [instance, { commands, redirects, timeouts, lost }] of Object.entries(stats.nodes)) {
    const labels = { queue, instance }
    samples.add('task_queue_client_commands_total', labels, commands)
    for (const [fault, count] of Object.entries({ redirect: redirects, timeout: timeouts, lost }))
      samples.add('task_queue_client_faults_total', { ...labels, fault }, count)
  }
}
