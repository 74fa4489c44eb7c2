import type { PartitionAnswer, QueueSurvey } from '../queue/surveyor.js'
import { PRIORITIES } from '../queue/task.js'
import { durationsFrom } from '../queue/timings.js'
import { addHistogram } from './histogram.js'
import type { Labels, Samples } from './observed.js'
import { COUNTERS, type QueueCounter, type QueueMetric } from './queue-families.js'

/** @param counters see QueueCounters */
export function addQueue(
  samples: Samples<QueueMetric>,
  { name, partitions }: QueueSurvey,
  counters: ReadonlyMap<string, number> | undefined,
): void {
  const queue = { queue: name }
  if (counters) {
    for (const [metric, counter] of Object.entries(COUNTERS))
      samples.add(metric as QueueCounter, queue, counters.get(counter) ?? 0)
    addHistogram(samples, 'task_queue_wait_seconds', queue, durationsFrom(counters, 'wait'))
    addHistogram(samples, 'task_queue_processing_seconds', queue, durationsFrom(counters, 'processing'))
  }
  const answers = partitions.filter((answer) => answer !== undefined)
  for (const shard of new Set(answers.map((answer) => answer.shard)))
    addShard(
      samples,
      { ...queue, shard },
      answers.filter((answer) => answer.shard === shard),
    )
  if (answers.length === 0) return
  samples.add('task_queue_workers', queue, Math.max(...answers.map(({ consumers }) => consumers)))
  samples.add('task_queue_paused', queue, Number(answers.some(({ paused }) => paused)))
}

function addShard(
  samples: Samples<QueueMetric>,
  labels: Labels,
  partitions: readonly PartitionAnswer[],
): void {
  const sum = (pick: (one: PartitionAnswer) => number) =>
    partitions.reduce((total, one) => total + pick(one), 0)
  const depth = (state: string, priority: string, value: number) =>
    samples.add('task_queue_depth', { ...labels, state, priority }, value)
  PRIORITIES.forEach((priority, level) => {
    depth(
      'ready',
      priority,
      sum(({ ready }) => ready[level] ?? 0),
    )
  })
  depth(
    'active',
    '',
    sum(({ active }) => active),
  )
  depth(
    'scheduled',
    '',
    sum(({ scheduled }) => scheduled),
  )
  depth(
    'dead',
    '',
    sum(({ dead }) => dead),
  )
  const ages = partitions.flatMap(({ agesMs }) => agesMs.map((age) => age ?? 0))
  samples.add('task_queue_oldest_ready_seconds', labels, Math.max(...ages) / 1_000)
  const overdue = Math.max(...partitions.map(({ overdueMs }) => overdueMs))
  samples.add('task_queue_schedule_lag_seconds', labels, overdue / 1_000)
}
