import { board, curves, figure, NONE, row, states } from './panels.js'

const OF = '{job="$cluster"}'
const rate = (metric: string) => `rate(${metric}${OF}[$__rate_interval])`
/** Series of nodes, whose names are long enough as they are. */
const NODE = '{{instance}}'

/** The nodes: are they there, who is what, and what do they carry. */
export const cluster = () =>
  board('shardq-cluster', 'shardq: cluster', 'The nodes of a Redis Cluster.')
    .withRow(row('Now'))
    .withPanel(
      figure('State', `min(redis_cluster_state${OF})`, {
        words: { 0: ['FAIL', 'red'], 1: ['ok', 'green'] },
        description: 'The worst that any node says. Runbook: docs/runbooks/RedisClusterDown.md',
      }),
    )
    .withPanel(figure('Masters', `max(shardq_cluster_masters${OF})`))
    .withPanel(figure('Replicas', `max(shardq_cluster_replicas${OF})`))
    .withPanel(
      figure('Failed nodes', `max(shardq_cluster_failed_nodes${OF})`, {
        steps: NONE,
        description: 'Do not answer, or are flagged fail by a majority.',
      }),
    )
    .withPanel(
      figure('Slots assigned', `16384 - max(shardq_cluster_slots_unassigned${OF})`, {
        steps: [
          [null, 'red'],
          [16384, 'green'],
        ],
      }),
    )
    .withPanel(
      figure('Open slots', `max(shardq_cluster_open_slots${OF})`, {
        steps: [
          [null, 'green'],
          [1, 'orange'],
        ],
      }),
    )
    .withPanel(
      figure('Failovers', `max(changes(redis_cluster_current_epoch${OF}[$__range]))`, {
        description: 'Times that the epoch rose in the range shown: elections, and slots that moved.',
        steps: [
          [null, 'green'],
          [1, 'orange'],
        ],
      }),
    )
    .withPanel(
      figure('Alerts', `count(ALERTS{alertstate="firing", job="$cluster", severity!="info"}) or vector(0)`, {
        steps: NONE,
      }),
    )
    .withRow(row('Nodes'))
    .withPanel(states('Answers', [`redis_up${OF}`, NODE], { 0: ['down', 'red'], 1: ['up', 'green'] }))
    .withPanel(
      states(
        'Role',
        [`max by (instance) (redis_instance_info{job="$cluster", role="master"}) or redis_up${OF} * 0`, NODE],
        { 0: ['replica', 'blue'], 1: ['master', 'orange'] },
        { description: 'A bar that changes its colour is a failover. One that is down counts as a replica.' },
      ),
    )
    .withPanel(
      states('State by node', [`redis_cluster_state${OF}`, NODE], { 0: ['fail', 'red'], 1: ['ok', 'green'] }),
    )
    .withPanel(curves('Memory used', [[`redis_memory_used_bytes${OF}`, NODE]], { unit: 'bytes', span: 12 }))
    .withPanel(
      curves(
        'Memory used, of its limit',
        [
          [
            `redis_memory_used_bytes${OF} / (redis_memory_max_bytes${OF} > 0 or redis_total_system_memory_bytes${OF})`,
            NODE,
          ],
        ],
        {
          unit: 'percentunit',
          max: 1,
          span: 12,
          description: 'Of maxmemory; of the memory of the machine where there is no limit.',
          steps: [
            [null, 'green'],
            [0.8, 'orange'],
            [0.95, 'red'],
          ],
        },
      ),
    )
    .withRow(row('Replication'))
    .withPanel(
      curves('Replication lag', [[`redis_replication_lag_seconds${OF}`, NODE]], {
        unit: 's',
        description: 'Seconds since a replica last heard from its master. An idle link shows up to 10.',
        steps: [
          [null, 'green'],
          [10, 'red'],
        ],
      }),
    )
    .withPanel(
      curves(
        'Bytes behind',
        [
          [
            `redis_master_repl_offset${OF} - on (instance) group_right () redis_connected_slave_offset_bytes${OF}`,
            '{{slave_ip}}:{{slave_port}}',
          ],
        ],
        { unit: 'bytes', description: 'What a replica has not confirmed of what its master wrote.' },
      ),
    )
    .withPanel(
      states('Link to the master', [`redis_master_link_up${OF}`, NODE], {
        0: ['down', 'red'],
        1: ['up', 'green'],
      }),
    )
    .withPanel(curves('Replicas of each master', [[`redis_connected_slaves${OF}`, NODE]]))
    .withPanel(
      curves('Resynchronisations', [
        [`sum(increase(redis_replica_resyncs_full${OF}[$__rate_interval]))`, 'full'],
        [`sum(increase(redis_replica_partial_resync_accepted${OF}[$__rate_interval]))`, 'partial'],
        [`sum(increase(redis_replica_partial_resync_denied${OF}[$__rate_interval]))`, 'partial, denied'],
      ]),
    )
    .withPanel(
      curves('Slots', [
        [`min(redis_cluster_slots_ok${OF})`, 'ok'],
        [`max(redis_cluster_slots_pfail${OF})`, 'suspected'],
        [`max(redis_cluster_slots_fail${OF})`, 'failed'],
      ]),
    )
    .withRow(row('Work'))
    .withPanel(curves('Commands', [[rate('redis_commands_processed_total'), NODE]], { unit: 'ops' }))
    .withPanel(
      curves(
        'CPU',
        [[`${rate('redis_cpu_user_seconds_total')} + ${rate('redis_cpu_sys_seconds_total')}`, NODE]],
        { unit: 'percentunit', description: '100% is one core. Redis runs commands on one.' },
      ),
    )
    .withPanel(curves('Clients', [[`redis_connected_clients${OF}`, NODE]]))
    .withPanel(curves('Received', [[rate('redis_net_input_bytes_total'), NODE]], { unit: 'Bps' }))
    .withPanel(curves('Sent', [[rate('redis_net_output_bytes_total'), NODE]], { unit: 'Bps' }))
    .withPanel(curves('Keys', [[`redis_db_keys${OF}`, NODE]]))
    .withRow(row('What should not be'))
    .withPanel(
      curves('Keys evicted', [[`increase(redis_evicted_keys_total${OF}[$__rate_interval])`, NODE]], {
        description: 'Tasks that are lost. Runbook: docs/runbooks/RedisEvictions.md',
      }),
    )
    .withPanel(
      curves('Connections refused', [
        [`increase(redis_rejected_connections_total${OF}[$__rate_interval])`, NODE],
      ]),
    )
    .withPanel(
      curves(
        'Failures to write to disk',
        [
          [
            `3 - redis_rdb_last_bgsave_status${OF} - redis_aof_last_write_status${OF} - redis_aof_last_bgrewrite_status${OF}`,
            NODE,
          ],
        ],
        { description: 'Of snapshot, append and rewrite, how many failed the last time.' },
      ),
    )
    .withPanel(curves('Epoch', [[`redis_cluster_current_epoch${OF}`, NODE]], { span: 12 }))
    .withPanel(
      curves('Up since', [[`redis_uptime_in_seconds${OF}`, NODE]], {
        unit: 's',
        span: 12,
        description: 'A line that falls to 0 is a restart.',
      }),
    )
    .build()
