/**
 * `npm run bench:guide`: what the guide to Redis Cluster promises of speed and memory, each with a figure from servers of its
 * own: how evenly tasks lie, what a full server does under either policy, reads from replicas and how old they are, and
 * connections per node. The rate of tasks is what `npm run bench` measures.
 */
import Table from 'cli-table3'
import { type Address, startSingle } from '../../src/cluster/index.js'
import { withLink } from '../../src/cluster/link.js'
import { QueueFullError, TaskQueue, Worker } from '../../src/index.js'
import { sizeOf } from '../../src/scripts/bundles.js'
import { type OwnServers, startServers } from './own-servers.js'

interface Tasks {
  note: string
}

const TASKS = 100_000
const READS = 2_000
const TIMEOUT_MS = 30_000

const interrupt = new AbortController()
process.once('SIGINT', () => interrupt.abort()).once('SIGTERM', () => interrupt.abort())

const rows: [what: string, figure: string][] = []

const servers = await startServers(3, 1, interrupt.signal)
try {
  rows.push(...(await distribution(servers)))
  rows.push(...(await replicaReads(servers)))
  rows.push(...(await connections(servers)))
} finally {
  await servers.stop()
}
for (const policy of ['noeviction', 'allkeys-lru']) rows.push(await fullServer(policy))

const table = new Table({ head: ['what', 'figure'], style: { head: [], border: [], compact: true } })
table.push(...rows)
console.log(table.toString())

/** How tasks without a key, and the slots, lie on the masters. */
async function distribution({ connection, masters }: OwnServers): Promise<typeof rows> {
  const queue = new TaskQueue<Tasks>('guide-distribution', { connection })
  await queue.connect()
  function* notes() {
    for (let i = 0; i < TASKS; i++) yield { type: 'note' as const, data: 'x'.repeat(100) }
  }
  await queue.enqueueMany(notes())
  const { shards } = await queue.health()
  const waiting = await Promise.all(
    masters.map((master) =>
      withLink(master, { timeoutMs: TIMEOUT_MS }, async (link) => {
        const lists = words(await link.text('KEYS', `shardq:${queue.name}:*:ready:medium`))
        let tasks = 0
        for (const list of lists) {
          const names = words(await link.text('LRANGE', list, 0, -1))
          for (const name of names) tasks += sizeOf(name)
        }
        return tasks
      }),
    ),
  )
  await queue.disconnect()
  return [
    ['slots of each master', shards.map(({ slots }) => slots.toLocaleString('en')).join(', ')],
    ['partitions of each master', shards.map(({ partitions }) => partitions.length).join(', ')],
    [
      `${TASKS.toLocaleString('en')} tasks, on each master`,
      waiting.map((count) => count.toLocaleString('en')).join(', '),
    ],
  ]
}

/** Looking up tasks at masters and at replicas, in turn; and whether a replica knows what was just acknowledged. */
async function replicaReads({ connection }: OwnServers): Promise<typeof rows> {
  if (connection.mode !== 'cluster') throw new Error('replicas are there in a cluster only')
  const master = new TaskQueue<Tasks>('guide-reads', { connection })
  const replica = new TaskQueue<Tasks>('guide-reads', { connection: { ...connection, readFrom: 'replica' } })
  const unconfirmed = new TaskQueue<Tasks>('guide-reads', { connection, durability: 'async' })
  await Promise.all([master.connect(), replica.connect(), unconfirmed.connect()])
  const ids = await master.enqueueMany(
    Array.from({ length: READS }, (_, i) => ({ type: 'note', data: `${i}` })),
  )
  const rates = { master: [] as number[], replica: [] as number[] }
  for (let round = 0; round < 5; round++) {
    for (const [name, queue] of [['master', master] as const, ['replica', replica] as const]) {
      const startedMs = performance.now()
      await Promise.all(ids.map((id) => queue.getTask(id)))
      rates[name].push((READS / (performance.now() - startedMs)) * 1_000)
    }
  }
  const result: typeof rows = [
    ['look-ups per second, at masters', whole(median(rates.master))],
    ['look-ups per second, at replicas', whole(median(rates.replica))],
  ]
  for (const [name, queue] of [['replicated', master] as const, ['async', unconfirmed] as const]) {
    const ages: number[] = []
    for (let i = 0; i < READS; i++) {
      const id = await queue.enqueue('note', 'seen?')
      const acknowledgedMs = performance.now()
      let looks = 0
      while (!(await replica.getTask(id))) looks++
      ages.push(looks === 0 ? 0 : performance.now() - acknowledgedMs)
    }
    const late = ages.filter((age) => age > 0)
    const most = late.length === 0 ? '' : `, at most ${Math.max(...late).toFixed(1)} ms`
    result.push([
      `acknowledged (${name}), not yet at the replica at the first look`,
      `${late.length} of ${READS.toLocaleString('en')}${most}`,
    ])
  }
  await Promise.all([master.disconnect(), replica.disconnect(), unconfirmed.disconnect()])
  return result
}

/** Sockets that a producer and a worker have to each master, as the master counts them. */
async function connections({ connection, masters }: OwnServers): Promise<typeof rows> {
  const count = async () => {
    const clients = await Promise.all(
      masters.map((address) =>
        withLink(address, { timeoutMs: TIMEOUT_MS }, (link) => link.text('CLIENT', 'LIST')),
      ),
    )
    return clients.map((list) => list.split('\n').filter((line) => line.includes('name=shardq')).length)
  }
  const queue = new TaskQueue<Tasks>('guide-connections', { connection })
  await queue.connect()
  await queue.enqueueMany(Array.from({ length: 1_000 }, () => ({ type: 'note', data: '' })))
  const producer = await count()
  const worker = new Worker<Tasks>(queue.name, { note: () => undefined }, { connection })
  const drained = new Promise<void>((resolve) => {
    worker.on('completed', () => {
      if (worker.health().metrics.completed === 1_000) resolve()
    })
  })
  await worker.start()
  await drained
  const both = await count()
  await worker.stop()
  await queue.disconnect()
  return [
    ['connections to each master, a producer', producer.join(', ')],
    ['connections to each master, a worker', both.map((all, i) => all - (producer[i] ?? 0)).join(', ')],
  ]
}

/** A server of 8 MB is given twice as much: what it acknowledged, refused and still has. */
async function fullServer(policy: string): Promise<(typeof rows)[number]> {
  const server = await startSingle({ settings: { maxmemory: '8mb', 'maxmemory-policy': policy } })
  const queue = new TaskQueue<Tasks>('guide-full', {
    connection: { mode: 'single', url: server.url },
    enqueueTimeoutMs: 500,
    partitions: 48,
  })
  try {
    await queue.connect()
    let acknowledged = 0
    let refused = 0
    for (let i = 0; i < 160; i++) {
      await queue.enqueue('note', 'x'.repeat(100_000)).then(
        () => acknowledged++,
        (error: unknown) => {
          if (!(error instanceof QueueFullError)) throw error
          refused++
        },
      )
    }
    const { ready } = await queue.depth()
    const kept = await keptRecords(server)
    return [
      `a full server, ${policy}`,
      `${acknowledged} acknowledged, ${refused} refused; ${ready.medium} in the lists, ${kept} records`,
    ]
  } finally {
    await queue.disconnect()
    await server.stop()
  }
}

function keptRecords(server: Address): Promise<number> {
  return withLink(server, { timeoutMs: TIMEOUT_MS }, async (link) => {
    let records = 0
    for (const key of words(await link.text('KEYS', '*:tasks')))
      records += Number(await link.text('HLEN', key))
    return records
  })
}

/** Keys and ids have no commas. */
function words(reply: string): string[] {
  return reply === '' ? [] : reply.split(',')
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en')
}
