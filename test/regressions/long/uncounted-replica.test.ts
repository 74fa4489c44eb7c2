import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { ensureServer, freePorts, type LocalCluster } from '../../../src/cluster/index.js'
import { TaskQueue } from '../../../src/index.js'
import { makePartitions, partitionOfKey } from '../../../src/keys/partitions.js'
import { tell, tellAll } from '../../helpers/nodes.js'
import { ownCluster } from '../../helpers/own-cluster.js'
import { until } from '../../helpers/until.js'

type Notes = TaskQueue<{ note: number }>

const PARTITIONS = 12
/** Far beyond what a test takes: a replica that stands still is never given up. */
const NODE_TIMEOUT_MS = '20000'

/** A master, its replicas, and a key whose tasks it stores. */
async function shardOf(cluster: LocalCluster) {
  const { nodes } = await cluster.status()
  const master = nodes.find(({ role }) => role === 'master')
  if (!master) throw new Error('no master')
  const isItsOwn = (slot: number) => master.slots.some(([from, to]) => from <= slot && slot <= to)
  const partitions = makePartitions('q', PARTITIONS)
  let key = 0
  while (!isItsOwn(partitions[partitionOfKey(`k${key}`, PARTITIONS)]?.slot ?? -1)) key++
  const tag = /{(.*)}/.exec(partitions[partitionOfKey(`k${key}`, PARTITIONS)]?.keys.tasks ?? '')?.[1]
  const replicas = nodes.filter(({ masterId }) => masterId === master.id)
  return { master, replicas, key: { partitionKey: `k${key}` }, tag }
}

async function queueOn(cluster: LocalCluster): Promise<Notes> {
  const connection = { mode: 'cluster', nodes: cluster.seeds } as const
  const queue: Notes = new TaskQueue('q', { connection, partitions: PARTITIONS, enqueueTimeoutMs: 4_000 })
  onTestFinished(() => queue.disconnect())
  await queue.connect()
  return queue
}

const stateOf = async (master: number, replica: number) =>
  new RegExp(`port=${replica},state=(\\w+),offset=(\\d+)`).exec(await tell(master, 'INFO', 'replication'))

/** Tasks are sent all the time, by some producers in turn. @returns how many were acknowledged */
async function enqueueUntil(
  queues: readonly Notes[],
  options: { readonly partitionKey: string },
  isOver: () => Promise<boolean>,
): Promise<number> {
  let acknowledged = 0
  const calls: Promise<void>[] = []
  for (let i = 0; !(await isOver()); i++) {
    const call = queues[i % queues.length]?.enqueue('note', i, options).then(
      () => {
        acknowledged++
      },
      () => {},
    )
    if (call) calls.push(call)
    await sleep(10)
  }
  await Promise.all(calls)
  return acknowledged
}

it('a replica that comes online confirms nothing in the place of one that stands still', async () => {
  const cluster = await ownCluster({
    masters: 3,
    replicasPerMaster: 2,
    settings: { 'cluster-node-timeout': NODE_TIMEOUT_MS, 'repl-diskless-sync-delay': '2' },
  })
  const queues = await Promise.all(Array.from({ length: 5 }, () => queueOn(cluster)))
  const { master, replicas, key, tag } = await shardOf(cluster)
  const [still, fresh] = replicas
  if (!still || !fresh) throw new Error('no two replicas')
  await queues[0]?.enqueue('note', 0, key)
  // The second one comes back with nothing, and the backlog does not reach so far.
  await cluster.killNode(fresh.port)
  const dir = cluster.nodes.find(({ port }) => port === fresh.port)?.dir ?? ''
  await rm(join(dir, 'appendonlydir'), { recursive: true, force: true })
  await rm(join(dir, 'dump.rdb'), { force: true })
  await tell(master.port, 'CONFIG', 'SET', 'repl-backlog-size', '16384')
  const fill = ['SET', `{${tag}}fill`, 'x'.repeat(1_000_000), 'PX', 60_000] as const
  await tellAll(
    master.port,
    Array.from({ length: 10 }, () => fill),
  )
  await cluster.freezeNode(still.port)
  try {
    const restarted = cluster.restartNode(fresh.port)
    let wasSyncing = false
    let onlineAtMs: number | undefined
    const acknowledged = await enqueueUntil(queues, key, async () => {
      const [, state] = (await stateOf(master.port, fresh.port)) ?? []
      wasSyncing ||= state !== undefined && state !== 'online'
      if (wasSyncing && state === 'online') onlineAtMs ??= performance.now()
      return onlineAtMs !== undefined && performance.now() - onlineAtMs > 1_500
    })
    await restarted
    expect(wasSyncing).toBe(true)
    expect(acknowledged).toBe(0)
  } finally {
    await cluster.resumeNode(still.port)
  }
  // And the shard takes tasks again when it has caught up.
  await queues[0]?.enqueue('note', 1, key)
})

it('a plain server that attaches itself confirms nothing in the place of the replica that stands still', async () => {
  const cluster = await ownCluster({
    settings: { 'cluster-node-timeout': NODE_TIMEOUT_MS, 'repl-diskless-sync-delay': '0' },
  })
  const queue = await queueOn(cluster)
  const { master, replicas, key } = await shardOf(cluster)
  const [replica] = replicas
  if (!replica) throw new Error('no replica')
  for (let i = 0; i < 5; i++) await queue.enqueue('note', i, key)
  const port = await plainReplicaOf(master.port)
  await until(
    'the plain server is online, and acknowledges',
    () => stateOf(master.port, port),
    (seen) => seen?.[1] === 'online' && Number(seen[2]) > 0,
  )
  // Longer than a report of who is attached is believed.
  await sleep(1_000)
  await cluster.freezeNode(replica.port)
  try {
    const endMs = performance.now() + 2_500
    const acknowledged = await enqueueUntil([queue], key, async () => performance.now() > endMs)
    // What was under way when it was stopped.
    expect(acknowledged).toBeLessThanOrEqual(1)
  } finally {
    await cluster.resumeNode(replica.port)
  }
  await queue.enqueue('note', -1, key)
})

/** A server that is no node of the cluster, as tools for migration attach themselves. @returns its port */
async function plainReplicaOf(master: number): Promise<number> {
  const [{ path }, [port = 0], dir] = await Promise.all([
    ensureServer(),
    freePorts(1),
    mkdtemp(join(tmpdir(), 'shardq-plain-')),
  ])
  const options = ['--port', port, '--bind', '127.0.0.1', '--dir', dir, '--save', '']
  const child = spawn(path, [...options, '--replicaof', '127.0.0.1', master].map(String), { stdio: 'ignore' })
  onTestFinished(async () => {
    const exit = once(child, 'exit')
    child.kill('SIGKILL')
    await exit
    await rm(dir, { recursive: true, force: true })
  })
  return port
}
