import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { type LocalCluster, nameOf, planFix } from '../../src/cluster/index.js'
import { moveSlots, Nodes, type Party, type SlotMove } from '../../src/cluster/move/index.js'
import { slotsIn } from '../../src/cluster/slots.js'
import { TaskQueue, Worker } from '../../src/index.js'
import { partitionSlots } from '../../src/keys/partitions.js'
import { tagForSlot } from '../../src/keys/slots.js'
import { eventually } from '../helpers/behaviour/harness.js'
import { FaultyNodes } from '../helpers/faulty-nodes.js'
import { tell, tellAll } from '../helpers/nodes.js'
import { openCluster } from '../helpers/own-cluster.js'
import { slotContent } from '../helpers/slot-content.js'

type Tasks = { job: { n: number; text?: string } }

let cluster: LocalCluster
let dispose: () => Promise<void>
const closers: (() => Promise<unknown>)[] = []
beforeAll(async () => {
  ;({ cluster, dispose } = await openCluster())
})
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})
afterAll(() => dispose?.())

interface Stage {
  readonly queue: TaskQueue<Tasks>
  readonly slot: number
  readonly nodes: Nodes
  readonly masters: readonly Party[]
  readonly from: Party
  readonly to: Party
}

/** A queue with one partition, the owner of its slot, and another master. */
async function stage(name: string): Promise<Stage> {
  const queue = new TaskQueue<Tasks>(name, {
    connection: { mode: 'cluster', nodes: cluster.seeds },
    partitions: 1,
    results: { ttlMs: 600_000 },
  })
  await queue.connect()
  const nodes = new Nodes({})
  closers.push(
    () => queue.disconnect(),
    () => nodes.close(),
  )
  const [slot = 0] = partitionSlots(name, 1)
  const views = (await cluster.status()).nodes.filter(({ role }) => role === 'master')
  const masters = views.map((node) => ({ ...node, name: nameOf(node) }))
  const from = masters.find(({ slots }) => slots.some(([a, b]) => a <= slot && slot <= b))
  const to = masters.find((each) => each !== from)
  if (!from || !to) throw new Error('no masters')
  return { queue, slot, nodes, masters, from, to }
}

/** Tasks in every state there is, results, attempts, checkpoints and idempotency keys, and a record larger than a piece. */
async function fill(queue: TaskQueue<Tasks>, count: number): Promise<void> {
  const taken = 40
  await queue.enqueueMany(
    Array.from({ length: taken }, (_, n) => ({
      type: 'job' as const,
      data: { n },
      options: { priority: 'high' as const },
    })),
  )
  const deliveries = await queue.dequeue({ count: taken, leaseMs: 600_000 })
  await Promise.all(
    deliveries.map(async (delivery, i) => {
      if (i % 5 === 0) await delivery.complete({ ok: i })
      else if (i % 5 === 1) await delivery.fail(new Error('on purpose'), { retry: false })
      else if (i % 5 === 2) await delivery.fail(new Error('on purpose'))
      else if (i % 5 === 3) await delivery.checkpoint('half', { i })
    }),
  )
  await queue.enqueueMany(
    Array.from({ length: count }, (_, n) => ({
      type: 'job' as const,
      data: { n, text: n === 0 ? '\u00ff'.repeat(200_000) : 'x'.repeat(100) },
      options: {
        ...(n % 2 === 0 ? { partitionKey: 'key' } : {}),
        ...(n % 50 === 0 ? { idempotencyKey: `key ${n}` } : {}),
        ...(n % 20 === 0 ? { delayMs: 3_600_000 } : {}),
      },
    })),
  )
}

function forkMover(move: SlotMove, masters: readonly Party[]): ChildProcess {
  const script = fileURLToPath(new URL('../helpers/processes/mover.ts', import.meta.url))
  return fork(script, [JSON.stringify(move), JSON.stringify(masters)], { execArgv: ['--import', 'tsx'] })
}

it('moves all that a partition has there and back, each time to the same', async () => {
  const { queue, slot, nodes, masters, from, to } = await stage('there')
  await fill(queue, 5_000)
  await queue.disconnect()
  const before = await slotContent(from.port, slot)
  expect(before.size).toBeGreaterThan(100)
  for (const [source, target] of [
    [from, to],
    [to, from],
  ] as const) {
    expect(await moveSlots(nodes, { slots: [slot], from: source, to: target }, masters)).toBe('moved')
    expect(await slotContent(target.port, slot)).toEqual(before)
    expect(await tell(source.port, 'CLUSTER', 'COUNTKEYSINSLOT', slot)).toBe('0')
  }
  // Again, when all is done: nothing to do.
  expect(await moveSlots(nodes, { slots: [slot], from: to, to: from }, masters)).toBe('moved')
  expect((await planFix(cluster.seeds)).steps).toEqual([])
})

it('an open slot is a closed partition: nothing is lost or run twice, and leases hold', async () => {
  const { queue, slot, nodes, masters, from, to } = await stage('closed')
  await queue.enqueueMany(Array.from({ length: 20 }, (_, n) => ({ type: 'job' as const, data: { n } })))
  const runs = new Map<string, number>()
  let release = () => {}
  const gate = new Promise<void>((resolve) => {
    release = resolve
  })
  const worker = new Worker<Tasks>(
    'closed',
    {
      job: async ({ id }) => {
        runs.set(id, (runs.get(id) ?? 0) + 1)
        await gate
      },
    },
    {
      connection: { mode: 'cluster', nodes: cluster.seeds },
      concurrency: 20,
      leaseMs: 500,
      results: { ttlMs: 600_000 },
    },
  )
  worker.on('error', () => {})
  const completed: string[] = []
  worker.on('completed', ({ task }) => completed.push(task.id))
  await worker.start()
  closers.push(() => worker.stop())
  await eventually(() => expect(runs.size).toBe(20))
  await tell(to.port, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', from.id)
  await tell(from.port, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', to.id)
  const before = await slotContent(from.port, slot)
  const waiting = queue.enqueue('job', { n: 20 })
  // Far beyond the lease: whoever may look at the partition must not take what nobody could renew.
  await sleep(1_500)
  expect(await slotContent(from.port, slot)).toEqual(before)
  expect(await slotContent(to.port, slot)).toEqual(new Map())
  expect(await moveSlots(nodes, { slots: [slot], from, to }, masters)).toBe('moved')
  const id = await waiting
  // In which a consumer that knew nothing of the move would take them back.
  await sleep(1_000)
  release()
  await eventually(() => expect(completed).toContain(id))
  await eventually(() => expect(completed).toHaveLength(21))
  expect([...runs.values()].every((times) => times === 1)).toBe(true)
})

it('is taken back when it is interrupted', async () => {
  const { queue, slot, nodes, masters, from, to } = await stage('back')
  await fill(queue, 5_000)
  await queue.disconnect()
  const before = await slotContent(from.port, slot)
  const stop = new AbortController()
  const onProgress = () => stop.abort()
  expect(
    await moveSlots(nodes, { slots: [slot], from, to }, masters, { signal: stop.signal, onProgress }),
  ).toBe('interrupted')
  expect(await slotContent(from.port, slot)).toEqual(before)
  expect(await slotContent(to.port, slot)).toEqual(new Map())
  expect((await planFix(cluster.seeds)).steps).toEqual([])
})

it.each(['moveSlots', 'fix'] as const)('after kill -9 in the middle, %s goes on', async (who) => {
  const { queue, slot, nodes, masters, from, to } = await stage(`killed-${who}`)
  await fill(queue, 20_000)
  await queue.disconnect()
  const before = await slotContent(from.port, slot)
  const mover = forkMover({ slots: [slot], from, to }, masters)
  await once(mover, 'message')
  mover.kill('SIGKILL')
  await once(mover, 'exit')
  if (who === 'fix')
    expect(await (await planFix(cluster.seeds)).run()).toMatchObject({ left: [], openSlots: 0 })
  else expect(await moveSlots(nodes, { slots: [slot], from, to }, masters)).toBe('moved')
  const [owner] = (await cluster.status()).nodes.filter(({ slots }) =>
    slots.some(([a, b]) => a <= slot && slot <= b),
  )
  const other = owner?.port === from.port ? to : from
  expect(await slotContent(owner?.port ?? 0, slot)).toEqual(before)
  expect(await tell(other.port, 'CLUSTER', 'COUNTKEYSINSLOT', slot)).toBe('0')
  expect((await planFix(cluster.seeds)).steps).toEqual([])
})

it('a copy that was removed at the new owner before the claim: nothing is claimed, and the slot stays where it was', async () => {
  const { queue, slot, masters, from, to } = await stage('removed')
  await fill(queue, 500)
  await queue.disconnect()
  const before = await slotContent(from.port, slot)
  const asTo = (...command: [string, ...string[]]) => tellAll(to.port, [['ASKING'], command])
  let removed = 0
  const nodes = new FaultyNodes(
    {},
    {
      before: async () => {
        const count = Number(await tell(to.port, 'CLUSTER', 'COUNTKEYSINSLOT', slot))
        // All copies, and the note.
        if (removed > 0 || count <= before.size) return
        const [name = ''] = [...before.keys()].filter((each) => each.endsWith(':tasks'))
        removed = Number((await asTo('UNLINK', name))[1])
      },
    },
  )
  await expect(moveSlots(nodes, { slots: [slot], from, to }, masters)).rejects.toThrow(
    /1 are not there any more, such as shardq:removed:\S+:tasks/,
  )
  await nodes.close()
  expect(removed).toBe(1)
  expect(await slotContent(from.port, slot)).toEqual(before)
  expect(await tell(to.port, 'CLUSTER', 'COUNTKEYSINSLOT', slot)).toBe('0')
  expect((await planFix(cluster.seeds)).steps).toEqual([])
})

it.each(['moveSlots', 'fix'] as const)('killed with many slots open at once, %s goes on', async (who) => {
  const { nodes, masters, from, to } = await stage(`opened-${who}`)
  const view = (await cluster.status()).nodes.find(({ id }) => id === from.id)
  const slots = slotsIn(view?.slots ?? []).slice(-100)
  const keys = slots.flatMap((slot) => [1, 2, 3].map((n) => `{${tagForSlot(slot)}}${who}:${n}`))
  await tellAll(
    from.port,
    keys.map((key) => ['SET', key, key]),
  )
  // So that it comes no further than to the first keys.
  await tell(from.port, 'CLIENT', 'PAUSE', 60_000, 'WRITE')
  const mover = forkMover({ slots, from, to }, masters)
  try {
    await eventually(async () => expect((await nodes.self(from)).open).toHaveLength(64))
  } finally {
    mover.kill('SIGKILL')
    await once(mover, 'exit')
    await tell(from.port, 'CLIENT', 'UNPAUSE')
  }
  if (who === 'fix')
    expect(await (await planFix(cluster.seeds)).run()).toMatchObject({ left: [], openSlots: 0 })
  else expect(await moveSlots(nodes, { slots, from, to }, masters)).toBe('moved')
  const there = new Set(slotsIn((await nodes.self(to)).slots))
  if (who === 'moveSlots') expect(slots.every((slot) => there.has(slot))).toBe(true)
  for (const [port, owned] of [
    [from.port, slots.filter((slot) => !there.has(slot))],
    [to.port, slots.filter((slot) => there.has(slot))],
  ] as const) {
    const mine = keys.filter((_, i) => owned.includes(slots[Math.floor(i / 3)] ?? -1))
    expect(
      await tellAll(
        port,
        mine.map((key) => ['GET', key]),
      ),
    ).toEqual(mine)
    const left = slots.filter((slot) => !owned.includes(slot))
    const counts = await tellAll(
      port,
      left.map((slot) => ['CLUSTER', 'COUNTKEYSINSLOT', slot]),
    )
    expect(counts).toEqual(left.map(() => '0'))
  }
  expect((await planFix(cluster.seeds)).steps).toEqual([])
})

it('gives thousands of slots without keys away in a moment, and those with keys too', async () => {
  const { nodes, masters, from, to } = await stage('many')
  const view = (await cluster.status()).nodes.find(({ id }) => id === from.id)
  const [first = 0, last = 0] = [...(view?.slots ?? [])].sort(([a, b], [c, d]) => d - c - (b - a))[0] ?? []
  const slots = Array.from({ length: Math.min(2_000, last - first) }, (_, i) => first + i)
  expect(await moveSlots(nodes, { slots, from, to }, masters)).toBe('moved')
  expect(await moveSlots(nodes, { slots, from: to, to: from }, masters)).toBe('moved')
  await eventually(async () => expect((await planFix(cluster.seeds)).steps).toEqual([]))
})
