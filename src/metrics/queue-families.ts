import type { Family } from './observed.js'

const QUEUE = ['queue'] as const
const SHARD = ['queue', 'shard'] as const

const counter = (help: string): Family => ({ type: 'counter', help, labels: QUEUE })
const gauge = (help: string, labels: readonly string[] = QUEUE): Family => ({ type: 'gauge', help, labels })
const histogram = (help: string): Family => ({ type: 'histogram', help, labels: QUEUE })

/** Metrics that are a counter of the queue, and its name there. */
export const COUNTERS = {
  task_queue_enqueued_total: 'enqueued',
  task_queue_delivered_total: 'delivered',
  task_queue_completed_total: 'completed',
  task_queue_failed_total: 'failed',
  task_queue_retried_total: 'retried',
  task_queue_dead_lettered_total: 'dead',
  task_queue_recovered_total: 'recovered',
  task_queue_rerouted_total: 'rerouted',
  task_queue_unconfirmed_total: 'unconfirmed',
} as const

export type QueueCounter = keyof typeof COUNTERS

export const QUEUE_FAMILIES = {
  task_queue_enqueued_total: counter('Tasks stored'),
  task_queue_delivered_total: counter('Tasks handed out, each time that one was'),
  task_queue_completed_total: counter('Tasks completed'),
  task_queue_failed_total: counter('Attempts that failed'),
  task_queue_retried_total: counter('Failed attempts that another one follows'),
  task_queue_dead_lettered_total: counter('Tasks that went to the dead letters'),
  task_queue_recovered_total: counter(
    'Tasks taken back since their lease ran out: their worker died, or stood still',
  ),
  task_queue_rerouted_total: counter('Tasks sent to another partition since the first did not take them'),
  task_queue_unconfirmed_total: counter('Tasks stored that no replica confirmed in time'),
  task_queue_depth: gauge('Tasks by state: ready (by priority), active, scheduled, dead', [
    ...SHARD,
    'state',
    'priority',
  ]),
  task_queue_oldest_ready_seconds: gauge(
    'How long ago the oldest of the next tasks was enqueued, a delay included; 0 for none',
    SHARD,
  ),
  task_queue_schedule_lag_seconds: gauge(
    'How long the next scheduled task is overdue; 0 if it is not',
    SHARD,
  ),
  task_queue_workers: gauge('Consumers connected'),
  task_queue_paused: gauge('1 while the queue is paused'),
  task_queue_wait_seconds: histogram(
    'From enqueue to the start of the handler, of first attempts in workers',
  ),
  task_queue_processing_seconds: histogram('From start to end of handlers, of all attempts in workers'),
} as const

export type QueueMetric = keyof typeof QUEUE_FAMILIES
