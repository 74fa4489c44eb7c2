import { board, choice, curves, figure, row, states } from './panels.js'

const OF = 'job="$cluster", queue=~"$queue"'
const perSecond = (metric: string) => `sum(rate(${metric}{${OF}}[$__rate_interval]))`
const inInterval = (metric: string) => `sum by (queue) (increase(${metric}{${OF}}[$__rate_interval]))`
const depth = (by: string, state: string) => `sum by (${by}) (task_queue_depth{${OF}, state="${state}"})`

const percentiles = (metric: string) =>
  ([50, 95, 99] as const).map(
    (percent) =>
      [
        `histogram_quantile(${percent / 100}, sum by (le) (rate(${metric}_bucket{${OF}}[$__rate_interval])))`,
        `${percent}%`,
      ] as const,
  )

/** The queues: what waits, what is done, what fails, how long it takes. */
export const queues = () =>
  board('shardq-queues', 'shardq: queues', 'The queues in a Redis Cluster.')
    .withVariable(
      choice('queue', 'Queue', 'label_values(task_queue_depth{job="$cluster"}, queue)')
        .multi(true)
        .includeAll(true)
        .allValue('.*')
        .current({ text: 'All', value: '$__all' }),
    )
    .withRow(row('Now'))
    .withPanel(figure('Ready', `sum(task_queue_depth{${OF}, state="ready"})`))
    .withPanel(figure('Active', `sum(task_queue_depth{${OF}, state="active"})`))
    .withPanel(figure('Scheduled', `sum(task_queue_depth{${OF}, state="scheduled"})`))
    .withPanel(
      figure('Dead', `sum(task_queue_depth{${OF}, state="dead"})`, {
        steps: [
          [null, 'green'],
          [1, 'orange'],
        ],
        description: 'They stay until somebody decides. Runbook: docs/runbooks/TaskQueueDeadLetters.md',
      }),
    )
    .withPanel(
      figure('Oldest', `max(task_queue_oldest_ready_seconds{${OF}})`, {
        unit: 's',
        steps: [
          [null, 'green'],
          [60, 'orange'],
          [300, 'red'],
        ],
        description: 'How long the oldest task that is ready has been waiting.',
      }),
    )
    .withPanel(figure('Workers', `sum(task_queue_workers{${OF}})`))
    .withPanel(figure('Done per second', perSecond('task_queue_completed_total')))
    .withPanel(
      figure(
        'Attempts that fail',
        `${perSecond('task_queue_failed_total')} / (${perSecond('task_queue_failed_total')} + ${perSecond('task_queue_completed_total')})`,
        {
          unit: 'percentunit',
          steps: [
            [null, 'green'],
            [0.02, 'orange'],
            [0.1, 'red'],
          ],
        },
      ),
    )
    .withRow(row('What waits'))
    .withPanel(
      curves(
        'Tasks by state',
        ['ready', 'active', 'scheduled', 'dead'].map((state) => [depth('state', state), state]),
        { stacked: true },
      ),
    )
    .withPanel(curves('Ready by priority', [[depth('priority', 'ready'), '{{priority}}']], { stacked: true }))
    .withPanel(curves('Ready by shard', [[depth('shard', 'ready'), '{{shard}}']], { stacked: true }))
    .withPanel(curves('Ready by queue', [[depth('queue', 'ready'), '{{queue}}']], { stacked: true }))
    .withPanel(
      curves(
        'Age of the oldest',
        [[`max by (queue) (task_queue_oldest_ready_seconds{${OF}})`, '{{queue}}']],
        { unit: 's' },
      ),
    )
    .withPanel(
      curves(
        'Scheduled tasks that are late',
        [[`max by (queue) (task_queue_schedule_lag_seconds{${OF}})`, '{{queue}}']],
        { unit: 's', description: 'How long the next scheduled task is overdue.' },
      ),
    )
    .withRow(row('What is done'))
    .withPanel(
      curves(
        'In and out',
        ['enqueued', 'delivered', 'completed'].map((what) => [perSecond(`task_queue_${what}_total`), what]),
        { unit: 'ops', span: 12 },
      ),
    )
    .withPanel(
      curves(
        'Completed by queue',
        [[`sum by (queue) (rate(task_queue_completed_total{${OF}}[$__rate_interval]))`, '{{queue}}']],
        { unit: 'ops', span: 12, stacked: true },
      ),
    )
    .withPanel(
      curves('Wait, until a handler starts', percentiles('task_queue_wait_seconds'), { unit: 's', span: 12 }),
    )
    .withPanel(curves('Processing', percentiles('task_queue_processing_seconds'), { unit: 's', span: 12 }))
    .withRow(row('What goes wrong'))
    .withPanel(
      curves(
        'Failed, tried again, dead',
        ['failed', 'retried', 'dead_lettered'].map((what) => [
          perSecond(`task_queue_${what}_total`),
          what.replace('_', '-'),
        ]),
        { unit: 'ops' },
      ),
    )
    .withPanel(
      curves('Recovered from lost workers', [[inInterval('task_queue_recovered_total'), '{{queue}}']]),
    )
    .withPanel(
      curves('Rerouted, unconfirmed', [
        [inInterval('task_queue_rerouted_total'), '{{queue}} rerouted'],
        [inInterval('task_queue_unconfirmed_total'), '{{queue}} unconfirmed'],
      ]),
    )
    .withRow(row('Who works'))
    .withPanel(
      curves('Workers', [[`sum by (queue) (task_queue_workers{${OF}})`, '{{queue}}']], { stacked: true }),
    )
    .withPanel(
      states('Paused', [`max by (queue) (task_queue_paused{${OF}})`, '{{queue}}'], {
        0: ['running', 'green'],
        1: ['paused', 'orange'],
      }),
    )
    .withPanel(
      curves(
        'How long the metrics take',
        [['max by (what) (shardq_scrape_duration_seconds{job="$cluster"})', '{{what}}']],
        { unit: 's' },
      ),
    )
    .build()
