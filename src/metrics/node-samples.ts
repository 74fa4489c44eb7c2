import type { NodeObservation } from '../cluster/index.js'
import { FIELD_FAMILIES, type FieldFamily, type NodeMetric } from './node-families.js'
import type { Labels, Samples } from './observed.js'

type Info = ReadonlyMap<string, string>

/** What one node has said of itself, or that it has said nothing. */
export function addNode(samples: Samples<NodeMetric>, node: NodeObservation): void {
  const labels = { instance: node.name }
  samples.add('redis_up', labels, Number(node.up))
  if (!node.up) return
  const { info } = node
  for (const [name, { of, field, read }] of Object.entries<FieldFamily>(FIELD_FAMILIES)) {
    const text = node[of].get(field)
    if (text !== undefined) samples.add(name as NodeMetric, labels, read(text))
  }
  samples.add('redis_instance_info', { ...labels, ...identityOf(info) }, 1)
  for (const [db, keys] of keysOf(info)) samples.add('redis_db_keys', { ...labels, db }, keys)
  addReplicas(samples, labels, info)
  if (info.get('role') === 'slave') addReplica(samples, labels, info)
}

function identityOf(info: Info): Labels {
  return {
    role: info.get('role') ?? '',
    redis_version: info.get('valkey_version') ?? info.get('redis_version') ?? '',
    redis_mode: info.get('redis_mode') ?? info.get('server_mode') ?? '',
    maxmemory_policy: info.get('maxmemory_policy') ?? '',
  }
}

/** `db0:keys=1,expires=0,avg_ttl=0`; a database without keys has no line, and is there all the same. */
function keysOf(info: Info): ReadonlyMap<string, number> {
  const keys = new Map([['db0', 0]])
  for (const [field, text] of info)
    if (/^db\d+$/.test(field)) keys.set(field, Number(partsOf(text).get('keys')))
  return keys
}

/** `slave0:ip=127.0.0.1,port=7003,state=online,offset=14,lag=1`, on any node that has replicas. */
function addReplicas(samples: Samples<NodeMetric>, labels: Labels, info: Info): void {
  for (const [field, text] of info) {
    if (!/^slave\d+$/.test(field)) continue
    const parts = partsOf(text)
    const part = (name: string) => parts.get(name) ?? ''
    const replica = {
      ...labels,
      slave_ip: part('ip'),
      slave_port: part('port'),
      slave_state: part('state'),
    }
    samples.add('redis_connected_slave_lag_seconds', replica, Number(part('lag')))
    samples.add('redis_connected_slave_offset_bytes', replica, Number(part('offset')))
  }
}

/** What a replica says of its master. */
function addReplica(samples: Samples<NodeMetric>, labels: Labels, info: Info): void {
  const number = (field: string) => {
    const text = info.get(field)
    return text === undefined ? undefined : Number(text)
  }
  const master = {
    ...labels,
    master_host: info.get('master_host') ?? '',
    master_port: info.get('master_port') ?? '',
  }
  const linked = info.get('master_link_status') === 'up'
  samples.add('redis_slave_info', { ...master, read_only: info.get('slave_read_only') ?? '' }, 1)
  samples.add('redis_slave_repl_offset', master, number('slave_repl_offset'))
  samples.add('redis_master_link_up', master, Number(linked))
  samples.add('redis_master_last_io_seconds_ago', master, number('master_last_io_seconds_ago'))
  samples.add('redis_master_sync_in_progress', master, number('master_sync_in_progress'))
  const lag = number(linked ? 'master_last_io_seconds_ago' : 'master_link_down_since_seconds')
  samples.add('redis_replication_lag_seconds', labels, lag)
}

const partsOf = (text: string) => new Map(text.split(',').map((part) => part.split('=') as [string, string]))
