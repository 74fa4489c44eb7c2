/**
 * `npm run bench:move [-- --write] [--most 1000000] [--rounds 3]`: what moving one deep partition costs the clients of other
 * slots on both nodes, by MIGRATE and as `shardq` moves it. On a 3+3 cluster of its own; about four minutes. With --write, the
 * table in docs/migration.md is replaced.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { freePorts, type LocalCluster, nameOf, startCluster } from '../../src/cluster/index.js'
import { withLink } from '../../src/cluster/link.js'
import { takeLead, untilHeard } from '../../src/cluster/move/epoch.js'
import { moveSlots, Nodes, type Party } from '../../src/cluster/move/index.js'
import { TaskQueue } from '../../src/index.js'
import { partitionSlots } from '../../src/keys/partitions.js'
import { tagForSlot } from '../../src/keys/slots.js'
import type { Probed } from './move-prober.js'

const QUEUE = 'deep'
const [SLOT = 0] = partitionSlots(QUEUE, 1)
const DEPTHS = [1_000, 10_000, 100_000, 1_000_000]
const TASKS_PER_CALL = 10_000
const SPECIAL = 100
/** MIGRATE of a million tasks takes seconds, in which its node must not count as dead. */
const NODE_TIMEOUT_MS = 30_000
const PAGE = fileURLToPath(new URL('../../docs/migration.md', import.meta.url))
const BEGIN = '<!-- table: npm run bench:move -->'
const END = '<!-- end -->'

const { values: flags } = parseArgs({
  options: { write: { type: 'boolean' }, most: { type: 'string' }, rounds: { type: 'string' } },
})
const most = Number(flags.most ?? 1_000_000)
const rounds = Number(flags.rounds ?? 3)

type Way = 'MIGRATE' | 'shardq'
interface Measured {
  readonly way: Way
  readonly depth: number
  readonly megabytes: number
  readonly tookMs: number
  readonly source: Probed
  readonly target: Probed
}

async function fill(queue: TaskQueue<{ job: { n: number; text: string } }>, from: number, to: number) {
  for (let at = from; at < to; at += TASKS_PER_CALL) {
    // With a key, so that each has a record of its own: the most elements that so many tasks can have.
    const tasks = Array.from({ length: Math.min(TASKS_PER_CALL, to - at) }, (_, i) => ({
      type: 'job' as const,
      data: { n: at + i, text: 'x'.repeat(70) },
      options: { partitionKey: 'key', ...(i % 100 === 0 ? { delayMs: 3_600_000 } : {}) },
    }))
    await queue.enqueueMany(tasks)
  }
}

/** Some dead ones, and some with checkpoints. */
async function addSpecial(queue: TaskQueue<{ job: { n: number; text: string } }>) {
  const taken = await queue.dequeue({ count: SPECIAL, blockMs: 5_000 })
  await Promise.all(
    taken.map(async (task, i) => {
      if (i % 2 === 0) await task.fail(new Error('on purpose'), { retry: false })
      else await task.checkpoint('half', { rows: i }).then(() => task.release())
    }),
  )
}

async function migrate(from: Party, to: Party, masters: readonly Party[]): Promise<void> {
  await withLink(to, { timeoutMs: 120_000 }, async (target) => {
    await withLink(from, { timeoutMs: 120_000 }, async (source) => {
      await target.text('CLUSTER', 'SETSLOT', SLOT, 'IMPORTING', from.id)
      await source.text('CLUSTER', 'SETSLOT', SLOT, 'MIGRATING', to.id)
      const names = (await source.bytes('CLUSTER', 'GETKEYSINSLOT', SLOT, 1_000)) as Buffer[]
      await source.bytes('MIGRATE', to.host, to.port, '', 0, 60_000, 'KEYS', ...names)
    })
  })
  for (const node of [to, from, ...masters.filter(({ id }) => id !== to.id && id !== from.id)])
    await withLink(node, { timeoutMs: 60_000 }, (link) =>
      link.text('CLUSTER', 'SETSLOT', SLOT, 'NODE', to.id),
    )
}

async function megabytesAt(owner: Party): Promise<number> {
  return withLink(owner, {}, async (link) => {
    const names = (await link.reply('CLUSTER', 'GETKEYSINSLOT', SLOT, 1_000)) as string[]
    const sizes = await Promise.all(names.map((name) => link.text('MEMORY', 'USAGE', name)))
    return sizes.reduce((sum, size) => sum + Number(size), 0) / 1024 / 1024
  })
}

async function measure(cluster: LocalCluster): Promise<Measured[]> {
  const views = (await cluster.status()).nodes.filter(({ role }) => role === 'master')
  const masters = views.map((node) => ({ ...node, name: nameOf(node) }))
  let [from, to] = masters
  const owner = masters.find(({ slots }) => slots.some(([a, b]) => a <= SLOT && SLOT <= b))
  if (!from || !to || !owner) throw new Error('no masters')
  if (from !== owner) [from, to] = [owner, from]
  const places = [from, to].map(({ port, slots: [range] }) => {
    const free = range && range[0] !== SLOT ? range[0] : SLOT + 1
    return `${port}/{${tagForSlot(free)}}probe`
  })
  const prober = fork(fileURLToPath(new URL('move-prober.ts', import.meta.url)), places, {
    execArgv: ['--import', 'tsx'],
  })
  const queue = new TaskQueue<{ job: { n: number; text: string } }>(QUEUE, {
    connection: { mode: 'cluster', nodes: cluster.seeds },
    partitions: 1,
    durability: 'async',
  })
  const nodes = new Nodes({})
  const found: Measured[] = []
  const probed = async () => {
    prober.send('phase')
    const [answer] = (await once(prober, 'message')) as [Probed[]]
    return answer
  }
  try {
    for (const _ of places) await once(prober, 'message')
    await queue.connect()
    let depth = 0
    for (const next of DEPTHS.filter((each) => each <= most)) {
      await fill(queue, depth, next)
      if (depth === 0) await addSpecial(queue)
      depth = next
      const megabytes = await megabytesAt(from)
      for (let round = 0; round < 2 * rounds; round++) {
        const way: Way = round % 2 === 0 ? 'MIGRATE' : 'shardq'
        await untilHeard(nodes, to, await takeLead(nodes, to, masters), masters)
        await probed()
        const began = performance.now()
        if (way === 'MIGRATE') await migrate(from, to, masters)
        else await moveSlots(nodes, { slots: [SLOT], from, to }, masters)
        const tookMs = performance.now() - began
        const replies = await probed()
        const [source, target] = from === owner ? replies : [...replies].reverse()
        if (!source || !target) throw new Error('the prober has no answer')
        found.push({ way, depth, megabytes, tookMs, source, target })
        ;[from, to] = [to, from]
        const { ready, scheduled, dead } = await queue.depth()
        if (ready.medium + scheduled + dead !== depth) throw new Error(`not ${depth} tasks after the move`)
        console.log(JSON.stringify(found.at(-1)))
      }
    }
    return found
  } finally {
    prober.kill()
    await nodes.close()
    await queue.disconnect()
  }
}

const ms = (value: number) => (value < 10 ? value.toFixed(1) : String(Math.round(value)))

/** Median of the rounds, and the most. */
function spread(values: readonly number[]): string {
  const sorted = [...values].sort((a, b) => a - b)
  return `${ms(sorted[Math.floor((sorted.length - 1) / 2)] ?? 0)} (${ms(sorted.at(-1) ?? 0)})`
}

function table(found: readonly Measured[]): string {
  const lines = [
    '| tasks | MB | how | longest reply of the old owner, ms | of the new owner, ms | the move took, ms |',
    '|---:|---:|---|---:|---:|---:|',
  ]
  for (const depth of new Set(found.map((each) => each.depth))) {
    for (const way of ['MIGRATE', 'shardq'] as const) {
      const these = found.filter((each) => each.depth === depth && each.way === way)
      lines.push(
        `| ${depth.toLocaleString('en-US')} | ${ms(these[0]?.megabytes ?? 0)} | ${way} ` +
          `| ${spread(these.map(({ source }) => source.maxMs))} | ${spread(these.map(({ target }) => target.maxMs))} ` +
          `| ${spread(these.map(({ tookMs }) => tookMs))} |`,
      )
    }
  }
  return lines.join('\n')
}

const folder = await mkdtemp(join(tmpdir(), 'shardq-move-'))
const cluster = await startCluster({
  ports: await freePorts(6),
  dataDir: join(folder, 'cluster'),
  // Of what else stalls a server for as long, nothing is to be measured: neither saving, nor rewriting its file.
  settings: {
    'cluster-node-timeout': String(NODE_TIMEOUT_MS),
    maxmemory: '2gb',
    save: '',
    'auto-aof-rewrite-percentage': '0',
  },
})
try {
  const found = await measure(cluster)
  const [{ model = '?' } = {}] = cpus()
  const text = `${table(found)}\n\nMedian of ${rounds} moves, and the most; ${cpus().length} × ${model}, all six nodes, mover and prober on it.`
  console.log(`\n${text}`)
  if (flags.write) {
    const page = await readFile(PAGE, 'utf8')
    const [before, rest] = page.split(BEGIN)
    const after = rest?.split(END)[1]
    if (before === undefined || after === undefined) throw new Error(`no place for the table in ${PAGE}`)
    await writeFile(PAGE, `${before}${BEGIN}\n\n${text}\n\n${END}${after}`)
  }
} finally {
  await cluster.stop({ remove: true })
  await rm(folder, { recursive: true, force: true })
}
