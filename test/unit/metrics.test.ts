import { expect, test } from 'vitest'
import type { NodeObservation } from '../../src/cluster/index.js'
import { parseClusterNodes, parseFields } from '../../src/cluster/replies.js'
import { addCluster } from '../../src/metrics/cluster-samples.js'
import { Registry } from '../../src/metrics/index.js'
import type { ClusterMetric, NodeMetric } from '../../src/metrics/node-families.js'
import { addNode } from '../../src/metrics/node-samples.js'
import { observe, Samples, shared } from '../../src/metrics/observed.js'
import { QueueCounters } from '../../src/metrics/queue-counters.js'
import type { PartitionAnswer } from '../../src/queue/surveyor.js'
import { Durations, Timings } from '../../src/queue/timings.js'
import { Untold } from '../../src/queue/untold.js'

const HELP = { type: 'gauge', help: 'A thing', labels: ['of'] } as const

function answering(port: number, info: string, view = '', clusterInfo = ''): NodeObservation {
  return {
    name: `h:${port}`,
    address: { host: 'h', port },
    up: true,
    answeredInMs: 1,
    info: parseFields(info),
    clusterInfo: parseFields(clusterInfo),
    view: parseClusterNodes(view, 'h'),
    config: undefined,
  }
}

const silent = (port: number): NodeObservation => ({
  name: `h:${port}`,
  address: { host: 'h', port },
  up: false,
  error: new Error('silent'),
})

test('of one scrape, and of two at once, there is one look', async () => {
  const registry = new Registry()
  let looks = 0
  const look = shared(async () => {
    looks++
    await new Promise((resolve) => setImmediate(resolve))
    const samples = new Samples<'one' | 'two'>()
    samples.add('one', { of: 'a' }, 1)
    samples.add('two', { of: 'a"\n' }, 2)
    samples.add('two', { of: 'unknown' }, Number.NaN)
    return samples
  })
  const remove = observe(registry, { one: HELP, two: { ...HELP, type: 'counter' } }, look)
  const [first, second] = await Promise.all([registry.metrics(), registry.metrics()])
  expect(looks).toBe(1)
  expect(second).toBe(first)
  expect(first).toBe(
    '# HELP one A thing\n# TYPE one gauge\none{of="a"} 1\n\n# HELP two A thing\n# TYPE two counter\ntwo{of="a\\"\\n"} 2\n',
  )
  await registry.metrics()
  expect(looks).toBe(2)
  remove()
  expect((await registry.metrics()).trim()).toBe('')
})

test('what has the same labels is added up', async () => {
  const registry = new Registry()
  const one = (value: number) => async () => {
    const samples = new Samples<'one'>()
    samples.add('one', { of: 'a' }, value)
    return samples
  }
  const remove = observe(registry, { one: HELP }, one(1))
  observe(registry, { one: HELP }, one(2))
  expect(await registry.metrics()).toContain('one{of="a"} 3\n')
  remove()
  expect(await registry.metrics()).toContain('one{of="a"} 2\n')
})

test('a replica whose link is broken lags by as long as it is broken', () => {
  const samples = new Samples<NodeMetric>()
  addNode(
    samples,
    answering(
      1,
      'role:slave\nmaster_host:h\nmaster_port:2\nmaster_link_status:down\nmaster_last_io_seconds_ago:-1\n' +
        'master_link_down_since_seconds:77\nmaster_sync_in_progress:0\nslave_read_only:1\nslave_repl_offset:9\n' +
        'aof_last_write_status:err\nmaxmemory_policy:allkeys-lru\nvalkey_version:8.0.1\nserver_mode:cluster\n' +
        'db0:keys=3,expires=0\ndb7:keys=1,expires=0',
    ),
  )
  const value = (name: NodeMetric) => samples.of(name).map((sample) => sample.value)
  expect(value('redis_replication_lag_seconds')).toEqual([77])
  expect(value('redis_master_link_up')).toEqual([0])
  expect(value('redis_master_last_io_seconds_ago')).toEqual([-1])
  expect(value('redis_aof_last_write_status')).toEqual([0])
  expect(value('redis_db_keys')).toEqual([3, 1])
  expect(value('redis_memory_used_bytes')).toEqual([])
  expect(samples.of('redis_instance_info')[0]?.labels).toEqual({
    instance: 'h:1',
    role: 'slave',
    redis_version: '8.0.1',
    redis_mode: 'cluster',
    maxmemory_policy: 'allkeys-lru',
  })
})

test('a node that is down is there with 0, and with nothing else', () => {
  const samples = new Samples<NodeMetric>()
  addNode(samples, silent(1))
  expect(samples.of('redis_up')).toEqual([{ labels: { instance: 'h:1' }, value: 0 }])
  expect(samples.of('redis_instance_info')).toEqual([])
})

const line = (port: number, flags: string, master: string, slots = '') =>
  `id${port} h:${port}@1 ${flags} ${master} 0 0 1 connected ${slots}\n`

function clusterOf(nodes: readonly NodeObservation[]): Record<string, number | undefined> {
  const samples = new Samples<ClusterMetric>()
  addCluster(samples, { atMs: 0, nodes })
  const names = ['failed_nodes', 'masters', 'replicas', 'views', 'slots_unassigned', 'open_slots'] as const
  return Object.fromEntries(names.map((name) => [name, samples.of(`shardq_cluster_${name}`)[0]?.value]))
}

test('a whole cluster has one view, all slots, and no failed node', () => {
  const view = line(1, 'master', '-', '0-16383') + line(2, 'slave', 'id1')
  expect(clusterOf([answering(1, '', view), answering(2, '', view)])).toEqual({
    failed_nodes: 0,
    masters: 1,
    replicas: 1,
    views: 1,
    slots_unassigned: 0,
    open_slots: 0,
  })
})

test('views that differ, slots that nobody serves or that are being moved, and nodes that fail are counted', () => {
  const before =
    line(1, 'master', '-', '0-99') + line(2, 'master', '-', '200-16383 [93-<-id1]') + line(3, 'slave', 'id1')
  const after =
    line(1, 'master,fail', '-') + line(2, 'master', '-', '200-16383') + line(3, 'master', '-', '0-98')
  const epoch = (of: number) => `cluster_current_epoch:${of}`
  expect(
    clusterOf([
      answering(1, '', before, epoch(1)),
      answering(2, '', before, epoch(1)),
      answering(3, '', after, epoch(2)),
      silent(4),
    ]),
  ).toEqual({
    // 4 does not answer; that 1 failed, only one of three says.
    failed_nodes: 1,
    masters: 2,
    replicas: 1,
    views: 2,
    slots_unassigned: 100,
    open_slots: 1,
  })
  expect(
    clusterOf([answering(1, '', before), answering(2, '', after), answering(3, '', after)]).failed_nodes,
  ).toBe(1)
})

test('where no node answers, nothing is said of the cluster but that', () => {
  expect(clusterOf([silent(1), silent(2)])).toEqual({ failed_nodes: 2 })
})

test('of a single server no more than whether it answers', () => {
  expect(clusterOf([answering(1, 'cluster_enabled:0')])).toEqual({ failed_nodes: 0 })
})

function partition(counters: Readonly<Record<string, number>>): PartitionAnswer {
  return {
    shard: 'h:1',
    ready: [0, 0, 0],
    active: 0,
    scheduled: 0,
    dead: 0,
    agesMs: [],
    overdueMs: 0,
    paused: false,
    consumers: 0,
    counters: new Map(Object.entries(counters)),
  }
}

test('counters do not fall when a shard is silent, nor when a replica knows a little less; only with a new queue', () => {
  const counters = new QueueCounters()
  const add = (...partitions: (PartitionAnswer | undefined)[]) =>
    counters.add({ name: 'q', partitions })?.get('enqueued')
  expect(add(partition({ enqueued: 10 }), undefined)).toBe(undefined)
  expect(add(partition({ enqueued: 11 }), partition({ enqueued: 100 }))).toBe(111)
  expect(add(partition({ enqueued: 12 }), undefined)).toBe(112)
  expect(add(partition({ enqueued: 12 }), partition({ enqueued: 99 }))).toBe(112)
  expect(add(partition({ enqueued: 12 }), partition({ enqueued: 3 }))).toBe(15)
  counters.keep(new Set())
  expect(add(partition({ enqueued: 1 }), partition({ enqueued: 2 }))).toBe(3)
})

test('times are counted in the interval that they are in, its upper bound included', () => {
  const durations = new Durations()
  for (const ms of [0, 1, 1.01, 5, 600_000, 600_001]) durations.add(ms)
  expect(durations.counts).toEqual([2, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1])
})

test('times go with a call once a second, and come back if it has certainly failed', () => {
  const timings = new Timings()
  expect(timings.take(5_000)).toBe(undefined)
  timings.wait.add(3)
  timings.processing.add(0.0004)
  timings.processing.add(0.5)
  expect(timings.take(5_999)).toBe(undefined)
  const carried = timings.take(6_000)
  expect(carried?.text).toBe('wait:1 1 wait:sum 3000 processing:0 2 processing:sum 500')
  timings.wait.add(4)
  timings.failed(carried, { kind: 'unreachable', error: new Error('no') })
  const again = timings.take(7_000)
  expect(again?.text).toBe('wait:1 2 wait:sum 7000 processing:0 2 processing:sum 500')
  // This one may have arrived: to count it twice would be worse than not at all.
  timings.failed(again, { kind: 'timeout', error: new Error('no reply') })
  expect(timings.take(8_000)).toBe(undefined)
})

test('a producer tells once what it has counted, unless the call has certainly failed', () => {
  const counters = { reroutes: 0, unconfirmed: 0, accepted: 0, voided: 0, restored: 0 }
  const untold = new Untold(counters)
  expect(untold.take()).toBe(undefined)
  counters.reroutes = 3
  const tally = untold.take()
  expect(tally).toEqual({ rerouted: 3, unconfirmed: 0 })
  expect(untold.take()).toBe(undefined)
  untold.putBack(tally)
  counters.unconfirmed = 1
  expect(untold.take()).toEqual({ rerouted: 3, unconfirmed: 1 })
  expect(untold.some).toBe(false)
})
