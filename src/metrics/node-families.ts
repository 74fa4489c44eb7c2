import type { Family } from './observed.js'

/** A metric of a node that is one field of what it says of itself. */
export interface FieldFamily extends Family {
  readonly of: 'info' | 'clusterInfo'
  readonly field: string
  readonly read: (text: string) => number
}

const INSTANCE = ['instance'] as const
const MASTER = ['instance', 'master_host', 'master_port'] as const
const REPLICA = ['instance', 'slave_ip', 'slave_port', 'slave_state'] as const

/** Words of INFO and CLUSTER INFO: `ok` is good, all else is not. */
const ok = (text: string) => Number(text === 'ok')

type Field = readonly [field: string, help: string, read?: (text: string) => number]

function fields<Name extends string>(
  of: FieldFamily['of'],
  type: FieldFamily['type'],
  table: Readonly<Record<Name, Field>>,
): Readonly<Record<Name, FieldFamily>> {
  const families = {} as Record<Name, FieldFamily>
  for (const name of Object.keys(table) as Name[]) {
    const [field, help, read = Number] = table[name]
    families[name] = { of, type, field, help, read, labels: INSTANCE }
  }
  return families
}

/** Names and meanings are those of redis_exporter, so that its dashboards and alert rules fit. */
export const FIELD_FAMILIES = {
  ...fields('info', 'gauge', {
    redis_uptime_in_seconds: ['uptime_in_seconds', 'Seconds since the server was started'],
    redis_connected_clients: ['connected_clients', 'Client connections, without those of replicas'],
    redis_blocked_clients: ['blocked_clients', 'Clients that wait in a blocking command'],
    redis_memory_used_bytes: ['used_memory', 'Memory that the server has allocated'],
    redis_memory_max_bytes: ['maxmemory', 'Most memory for data; 0 for no limit'],
    redis_memory_used_rss_bytes: ['used_memory_rss', 'Memory as the operating system sees it'],
    redis_mem_fragmentation_ratio: ['mem_fragmentation_ratio', 'Resident by allocated memory'],
    redis_total_system_memory_bytes: ['total_system_memory', 'Memory of the machine'],
    redis_cluster_enabled: ['cluster_enabled', '1 for a node of a cluster'],
    redis_connected_slaves: ['connected_slaves', 'Replicas linked to this node'],
    redis_master_repl_offset: ['master_repl_offset', 'Place in the replication stream, in bytes'],
    redis_rdb_last_save_timestamp_seconds: ['rdb_last_save_time', 'When the last snapshot was written'],
    redis_rdb_last_bgsave_status: ['rdb_last_bgsave_status', '1 if the last snapshot was written well', ok],
    redis_aof_enabled: ['aof_enabled', '1 if there is an append-only file'],
    redis_aof_last_write_status: [
      'aof_last_write_status',
      '1 if the append-only file was last written well',
      ok,
    ],
    redis_aof_last_bgrewrite_status: ['aof_last_bgrewrite_status', '1 if it was last rewritten well', ok],
    redis_replica_resyncs_full: ['sync_full', 'Times that a replica was sent everything'],
    redis_replica_partial_resync_accepted: [
      'sync_partial_ok',
      'Times that a replica went on where it had stopped',
    ],
    redis_replica_partial_resync_denied: ['sync_partial_err', 'Times that a replica asked for that in vain'],
  }),
  ...fields('info', 'counter', {
    redis_rejected_connections_total: [
      'rejected_connections',
      'Connections refused, since maxclients was reached',
    ],
    redis_commands_processed_total: ['total_commands_processed', 'Commands carried out'],
    redis_net_input_bytes_total: ['total_net_input_bytes', 'Bytes received'],
    redis_net_output_bytes_total: ['total_net_output_bytes', 'Bytes sent'],
    redis_cpu_sys_seconds_total: ['used_cpu_sys', 'CPU time in the kernel'],
    redis_cpu_user_seconds_total: ['used_cpu_user', 'CPU time in the server itself'],
    redis_evicted_keys_total: ['evicted_keys', 'Keys deleted since memory was full; of a queue, tasks'],
  }),
  ...fields('clusterInfo', 'gauge', {
    redis_cluster_state: ['cluster_state', '1 if this node finds the cluster ok', ok],
    redis_cluster_slots_assigned: ['cluster_slots_assigned', 'Slots that a node serves, as this one sees it'],
    redis_cluster_slots_ok: ['cluster_slots_ok', 'Slots whose node is well, as this one sees it'],
    redis_cluster_slots_pfail: ['cluster_slots_pfail', 'Slots whose node this one suspects to be down'],
    redis_cluster_slots_fail: ['cluster_slots_fail', 'Slots whose node a majority finds down'],
    redis_cluster_known_nodes: ['cluster_known_nodes', 'Nodes that this one knows, itself among them'],
    redis_cluster_size: ['cluster_size', 'Masters with slots, as this node sees it'],
    redis_cluster_current_epoch: ['cluster_current_epoch', 'Grows with each failover'],
    redis_cluster_my_epoch: ['cluster_my_epoch', "Configuration epoch of this node's slots"],
  }),
} as const

const gauge = (help: string, labels: readonly string[] = INSTANCE): Family => ({
  type: 'gauge',
  help,
  labels,
})

/** What is put together from several fields. */
export const NODE_FAMILIES = {
  redis_up: gauge('1 if the node answered in time, else 0'),
  redis_instance_info: gauge('Always 1; its labels tell what the node is', [
    'instance',
    'role',
    'redis_version',
    'redis_mode',
    'maxmemory_policy',
  ]),
  ...FIELD_FAMILIES,
  redis_db_keys: gauge('Keys in a database', ['instance', 'db']),
  redis_connected_slave_lag_seconds: gauge('Seconds since a replica was last heard of', REPLICA),
  redis_connected_slave_offset_bytes: gauge('Place that a replica has confirmed', REPLICA),
  redis_slave_info: gauge('Always 1, on replicas', [...MASTER, 'read_only']),
  redis_slave_repl_offset: gauge("Place of a replica in its master's stream, in bytes", MASTER),
  redis_master_link_up: gauge('1 if the replica is linked to its master', MASTER),
  redis_master_last_io_seconds_ago: gauge('Seconds since its master was heard; -1 while not linked', MASTER),
  redis_master_sync_in_progress: gauge('1 while the replica is being sent everything', MASTER),
  redis_replication_lag_seconds: gauge(
    'Seconds that a replica has heard nothing of its master: since the last byte, or since the link broke',
  ),
} as const

export type NodeMetric = keyof typeof NODE_FAMILIES

export const CLUSTER_FAMILIES = {
  shardq_cluster_failed_nodes: gauge('Nodes that do not answer here, or that most views flag fail', []),
  shardq_cluster_masters: gauge('Masters that own slots', []),
  shardq_cluster_replicas: gauge('Nodes that follow a master, whether they answer or not', []),
  shardq_cluster_views: gauge(
    'Different views of roles, masters and slots among the nodes; 1 if they agree',
    [],
  ),
  shardq_cluster_slots_unassigned: gauge('Slots of 16,384 that no view assigns', []),
  shardq_cluster_open_slots: gauge('Slots that are being moved', []),
} as const

export type ClusterMetric = keyof typeof CLUSTER_FAMILIES
