import { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { backupCluster, type LocalCluster } from '../../src/cluster/index.js'
import {
  InvalidDataError,
  InvalidOptionError,
  PayloadTooLargeError,
  TaskQueue,
  Worker,
} from '../../src/index.js'
import { QUEUES_KEY, queueKey } from '../../src/keys/keys.js'
import { slotOf } from '../../src/keys/slots.js'
import { HOSTILE, HOSTILE_BYTES } from './hostile-names.js'
import { owns } from './nodes.js'
import { openCluster } from './own-cluster.js'
import { until } from './until.js'

/** A cluster in which everything that somebody may name has a hostile name, and the same for what lies beside it on the disk. */
export interface HostileCluster {
  readonly cluster: LocalCluster
  /** `host:port` of one of its nodes. */
  readonly node: string
  /** The queue with a task for each hostile text. */
  readonly queue: string
  /** All queues with tasks in them. */
  readonly queues: readonly string[]
  /** A queue whose name a shell would carry out. */
  readonly oddQueue: string
  /** A whole backup, in a folder of a hostile name. */
  readonly backup: string
  /** Names that were refused, each with a typed error: to be seen that the others were taken. */
  readonly refused: ReadonlyMap<string, number>
  readonly dispose: () => Promise<void>
}

export const QUEUE = 'hostile'
/** All of what makes trouble in a path, that a path can have. */
const FOLDER = 'hx $(touch PWNED)`touch PWNED`;\'" \u001b]0;x\u0007\u202e\u200b\u009b2J\u0085%s'
const texts = Object.values(HOSTILE)

export async function openHostileCluster(): Promise<HostileCluster> {
  const root = await realpath(await mkdtemp(join(tmpdir(), 'shardq-hostile-')))
  const folder = join(root, FOLDER)
  await mkdir(folder)
  const { cluster, dispose } = await openCluster({
    masters: 3,
    replicasPerMaster: 0,
    dataDir: join(folder, 'cluster'),
  })
  const disposeAll = async () => {
    await dispose()
    await rm(root, { recursive: true, force: true })
  }
  try {
    const refused = new Map<string, number>()
    const queues = await fill(cluster, refused)
    const backup = join(folder, 'backup')
    await backupCluster(cluster.seeds, backup)
    await writeStrangers(cluster)
    const [first] = cluster.nodes
    const oddQueue = HOSTILE['a command in a shell']
    const node = `${first?.host}:${first?.port}`
    return { cluster, node, queue: QUEUE, queues, oddQueue, backup, refused, dispose: disposeAll }
  } catch (error) {
    await disposeAll()
    throw error
  }
}

/** Everything that the library takes a text for. @returns names of all queues */
async function fill(cluster: LocalCluster, refused: Map<string, number>): Promise<string[]> {
  const { connection } = cluster
  const options = { connection, durability: 'async', partitions: 3 } as const
  const tried = async <T>(what: string, call: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await call()
    } catch (error) {
      // Anything else is not how a name is refused.
      const isTyped = [InvalidOptionError, InvalidDataError, PayloadTooLargeError].some(
        (kind) => error instanceof kind,
      )
      if (!isTyped) throw error
      refused.set(what, (refused.get(what) ?? 0) + 1)
      return undefined
    }
  }
  const queue = new TaskQueue(QUEUE, options)
  await queue.connect()
  const types = new Set<string>()
  for (const text of texts) {
    const data = { text, [text]: [text] }
    const once = { maxAttempts: 1 }
    const metadata = { [text]: text }
    await tried('metadata', () => queue.enqueue('kept', data, { ...once, metadata }))
    if ((await tried('task types', () => queue.enqueue(text, data, once))) !== undefined) types.add(text)
    await tried('partition keys', () => queue.enqueue('kept', data, { ...once, partitionKey: text }))
    await tried('idempotency keys', () => queue.enqueue('kept', text, { ...once, idempotencyKey: text }))
  }
  await fail(options, types)
  for (const text of types) await queue.enqueue(text, { text }, { priority: 'high' })
  await queue.disconnect()

  const names: string[] = [QUEUE]
  for (const text of texts) {
    const other = await tried('queue names', async () => {
      const opened = new TaskQueue(text, { ...options, partitions: 1 })
      await opened.connect()
      return opened
    })
    if (other === undefined) continue
    await other.enqueue('one', { text })
    await other.disconnect()
    names.push(text)
  }
  return names
}

/** Handlers fail with hostile errors; for some types there is none. */
async function fail(
  options: { readonly connection: LocalCluster['connection']; readonly durability: 'async' },
  types: ReadonlySet<string>,
): Promise<void> {
  const handler = async (
    { data }: { data: unknown },
    context: { checkpoint(step: string, data: unknown): Promise<void> },
  ) => {
    const text = typeof data === 'string' ? data : (data as { text: string }).text
    await context.checkpoint(text, { [text]: text }).catch((error: unknown) => {
      if (!(error instanceof InvalidOptionError) && !(error instanceof PayloadTooLargeError)) throw error
    })
    const error = new Error(`${text}: ${text}`)
    Object.defineProperty(error, 'name', { value: text })
    error.stack = `${text}\n    at ${text} (${text}:1:1)`
    throw error
  }
  const handled = [...types].filter((_, i) => i % 3 > 0)
  const handlers = Object.fromEntries([...handled, 'kept'].map((type) => [type, handler]))
  const worker = new Worker(QUEUE, handlers, { connection: options.connection, concurrency: 10 })
  await worker.start()
  const queue = new TaskQueue(QUEUE, options)
  await queue.connect()
  await until(
    'every task is dead',
    () => queue.depth(),
    ({ ready, active, scheduled }) => ready.high + ready.medium + ready.low + active + scheduled === 0,
  )
  await worker.stop()
  await queue.disconnect()
}

/** What others may write: keys of their own, one among those of a partition, a queue that no library of ours would make, users. */
async function writeStrangers(cluster: LocalCluster): Promise<void> {
  const { nodes } = await cluster.status()
  const links = nodes.map((node) => ({
    node,
    link: new Redis(node.port, node.host, { maxRetriesPerRequest: 0 }),
  }))
  const at = (slot: number) => {
    const owner = links.find(({ node }) => owns(node, slot))
    if (owner === undefined) throw new Error(`nobody has slot ${slot}`)
    return owner.link
  }
  try {
    const tags = await partitionTags(links.map(({ link }) => link))
    const names = [...texts.map((text) => Buffer.from(text)), ...Object.values(HOSTILE_BYTES)]
    for (const name of names) {
      const own = Buffer.concat([Buffer.from('{hx}'), name])
      await at(slotOf('{hx}')).call('SET', own, name)
      for (const tag of tags) {
        const key = Buffer.concat([Buffer.from(`shardq:${QUEUE}:{${tag}}:`), name])
        await at(slotOf(`{${tag}}`)).call('SET', key, name)
      }
    }
    await at(slotOf('{hx}')).call('SETRANGE', `{hx}big${HOSTILE['a title of the window']}`, 3_000_000, 'x')
    for (const text of texts) {
      await at(slotOf(QUEUES_KEY)).call('SADD', QUEUES_KEY, text)
      const key = queueKey(text)
      await at(slotOf(key)).call('HSETNX', key, 'partitions', '1')
    }
    // A server refuses spaces and NUL in the name of a user.
    for (const [i, text] of texts.entries())
      for (const { link } of links)
        await link.call(
          'ACL',
          'SETUSER',
          text.replaceAll(/[\s\0]/g, '_').slice(0, 200),
          'on',
          'nopass',
          '~*',
          i % 2 ? '+@all' : '+get',
        )
  } finally {
    for (const { link } of links) link.disconnect()
  }
}

async function partitionTags(links: readonly Redis[]): Promise<string[]> {
  const tags = new Set<string>()
  for (const link of links) {
    const names = (await link.call('KEYS', `shardq:${QUEUE}:{*`)) as unknown[]
    for (const name of names) {
      const tag = /\{([^}]*)\}/.exec(String(name))?.[1]
      if (tag !== undefined) tags.add(tag)
    }
  }
  return [...tags]
}

/** A configuration of which each text is hostile. */
export async function hostileConfigs(dir: string): Promise<string[]> {
  const values = Object.values(HOSTILE).filter((text) => text.length < 1_000)
  const fields = ['url', 'username', 'password', 'mode', 'nodes', 'tls', values[0] ?? '']
  return Promise.all(
    values.map(async (text, i) => {
      const file = join(dir, `config-${i}.yaml`)
      const field = fields[i % fields.length] ?? 'url'
      await writeFile(
        file,
        JSON.stringify({ redis: { [field]: text, [text]: text }, [text]: { [text]: text } }),
      )
      return file
    }),
  )
}
