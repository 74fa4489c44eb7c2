import { fork } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { type LocalCluster, nameOf, planFix } from '../../src/cluster/index.js'
import { moveSlots, Nodes, type Party } from '../../src/cluster/move/index.js'
import { parseClusterNodes } from '../../src/cluster/replies.js'
import { TaskQueue } from '../../src/index.js'
import { partitionSlots } from '../../src/keys/partitions.js'
import { eventually } from '../helpers/behaviour/harness.js'
import { tell } from '../helpers/nodes.js'
import { ownCluster } from '../helpers/own-cluster.js'
import { slotContent } from '../helpers/slot-content.js'
import { steadyLoad } from '../helpers/steady-load.js'

const TASKS = 200_000
const KILLS = 10
type Tasks = { job: { n: number; text: string } }

const settings = { 'cluster-node-timeout': '2000', maxmemory: '1gb' }

async function mastersOf(
  cluster: LocalCluster,
): Promise<(Party & { slots: readonly (readonly [number, number])[] })[]> {
  const { nodes } = await cluster.status()
  return nodes.filter(({ role }) => role === 'master').map((node) => ({ ...node, name: nameOf(node) }))
}

/** A queue of one partition that nobody works on, with tasks in every state. */
async function deepQueue(cluster: LocalCluster): Promise<{ slot: number; depth: () => Promise<number> }> {
  const connection = { mode: 'cluster', nodes: cluster.seeds } as const
  const queue = new TaskQueue<Tasks>('deep', { connection, partitions: 1, results: { ttlMs: 3_600_000 } })
  await queue.connect()
  for (let at = 0; at < TASKS; at += 5_000)
    await queue.enqueueMany(
      Array.from({ length: 5_000 }, (_, i) => ({
        type: 'job' as const,
        data: { n: at + i, text: 'x'.repeat(60) },
        options: {
          ...(i % 2 === 0 ? { partitionKey: 'key' } : {}),
          ...(i % 100 === 1 ? { delayMs: 86_400_000 } : {}),
          ...(i % 100 === 2 ? { idempotencyKey: `key ${at + i}` } : {}),
        },
      })),
    )
  const taken = await queue.dequeue({ count: 200, leaseMs: 3_600_000 })
  await Promise.all(
    taken.map(async (delivery, i) => {
      if (i % 4 === 0) await delivery.complete({ ok: i })
      else if (i % 4 === 1) await delivery.fail(new Error('on purpose'), { retry: false })
      else if (i % 4 === 2) await delivery.checkpoint('half', { i })
    }),
  )
  await queue.disconnect()
  const depth = async () => {
    const reader = new TaskQueue<Tasks>('deep', { connection, partitions: 1 })
    await reader.connect()
    const { ready, scheduled, dead, active } = await reader.depth()
    await reader.disconnect()
    return ready.high + ready.medium + ready.low + scheduled + dead + active
  }
  return { slot: partitionSlots('deep', 1)[0] ?? 0, depth }
}

function ends(masters: Awaited<ReturnType<typeof mastersOf>>, slot: number): [Party, Party] {
  const from = masters.find(({ slots }) => slots.some(([a, b]) => a <= slot && slot <= b))
  const to = masters.find((each) => each !== from)
  if (!from || !to) throw new Error('no owner')
  return [from, to]
}

it('moves a deep partition, and those of a queue at work, there and back, and nothing is lost', async () => {
  const cluster = await ownCluster({ settings })
  const { slot } = await deepQueue(cluster)
  const load = await steadyLoad({ mode: 'cluster', nodes: cluster.seeds })
  const nodes = new Nodes({})
  const masters = await mastersOf(cluster)
  await sleep(3_000)
  const calm = await load.phase('moving')
  let content = await slotContent(ends(masters, slot)[0].port, slot)
  for (let turn = 0; turn < 2; turn++) {
    for (const each of [slot, ...partitionSlots('steady', 12).slice(0, 4)]) {
      const [from, to] = ends(await mastersOf(cluster), each)
      const began = performance.now()
      expect(await moveSlots(nodes, { slots: [each], from, to }, masters)).toBe('moved')
      console.log(`slot ${each} in ${Math.round(performance.now() - began)} ms`)
      if (each !== slot) continue
      const after = await slotContent(to.port, slot)
      expect(after).toEqual(content)
      content = after
    }
  }
  const moving = await load.phase('end')
  await nodes.close()
  const report = await load.stop()
  console.log(calm, moving, report)
  expect(report).toMatchObject({ rejected: 0, lost: 0, repeated: 0 })
  expect((await planFix(cluster.seeds)).steps).toEqual([])
})

/** But for what the queue itself keeps for a minute only. */
async function lasting(port: number, slot: number) {
  const content = await slotContent(port, slot)
  return new Map([...content].filter(([name]) => !name.endsWith(':probe')))
}

it('is killed ten times in the middle, and goes on each time', async () => {
  const cluster = await ownCluster({ settings })
  const { slot } = await deepQueue(cluster)
  const masters = await mastersOf(cluster)
  const [from, to] = ends(masters, slot)
  const content = await lasting(from.port, slot)
  const script = fileURLToPath(new URL('../helpers/processes/mover.ts', import.meta.url))
  let [source, target] = [from, to]
  for (let kill = 0; kill < KILLS; kill++) {
    const args = [JSON.stringify({ slots: [slot], from: source, to: target }), JSON.stringify(masters)]
    const mover = fork(script, args, { execArgv: ['--import', 'tsx'] })
    await once(mover, 'message')
    await sleep(Math.random() * 400)
    mover.kill('SIGKILL')
    if (mover.exitCode === null && mover.signalCode === null) await once(mover, 'exit')
    const nodes = new Nodes({})
    expect(await moveSlots(nodes, { slots: [slot], from: source, to: target }, masters)).toBe('moved')
    await nodes.close()
    expect(await lasting(target.port, slot)).toEqual(content)
    expect(await slotContent(source.port, slot)).toEqual(new Map())
    ;[source, target] = [target, source]
  }
  expect((await planFix(cluster.seeds)).steps).toEqual([])
})

it.each(['source', 'target'] as const)(
  'the %s dies in the middle: all is there, and the move can be made',
  async (which) => {
    const cluster = await ownCluster({ settings })
    const { slot, depth } = await deepQueue(cluster)
    const masters = await mastersOf(cluster)
    const [from, to] = ends(masters, slot)
    const before = await depth()
    const nodes = new Nodes({})
    const dying = which === 'source' ? from : to
    let killed: Promise<void> | undefined
    const onProgress = ({ keys, bytes }: { keys: number; bytes: number }) => {
      if (keys > 5 || bytes > 1_000_000) killed ??= cluster.killNode(dying.port)
    }
    await expect(moveSlots(nodes, { slots: [slot], from, to }, masters, { onProgress })).rejects.toThrow()
    await killed
    await nodes.close()
    // One that imports a slot hears nothing of its owner.
    const third = masters.find(({ id }) => id !== from.id && id !== to.id)
    await eventually(async () => {
      const seen = parseClusterNodes(await tell(third?.port ?? 0, 'CLUSTER', 'NODES'), '127.0.0.1')
      const owned = seen
        .filter(({ id, flags }) => id !== dying.id && !flags.includes('fail'))
        .flatMap(({ slots }) => slots)
      expect(owned.reduce((sum, [a, b]) => sum + b - a + 1, 0)).toBe(16_384)
    }, 30_000)
    await cluster.restartNode(dying.port)
    await eventually(async () => expect((await cluster.status()).state).toBe('ok'), 30_000)
    await eventually(async () => {
      const plan = await planFix(cluster.seeds)
      expect(await plan.run()).toMatchObject({ left: [], openSlots: 0, agreed: true })
    }, 30_000)
    await eventually(async () => expect(await depth()).toBe(before), 30_000)
    const now = await mastersOf(cluster)
    const [owner, other] = ends(now, slot)
    const again = new Nodes({})
    expect(await moveSlots(again, { slots: [slot], from: owner, to: other }, now)).toBe('moved')
    await again.close()
    expect(await depth()).toBe(before)
  },
)
