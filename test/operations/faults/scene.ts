import type { LocalCluster } from '../../../src/cluster/index.js'
import { isCopiesKey } from '../../../src/cluster/move/queue-keys.js'
import { slotsIn } from '../../../src/cluster/slots.js'
import { TaskQueue } from '../../../src/index.js'
import { makePartitions } from '../../../src/keys/partitions.js'
import { slotOf, tagForSlot } from '../../../src/keys/slots.js'
import { eventually } from '../../helpers/behaviour/harness.js'
import { owns, tell } from '../../helpers/nodes.js'
import { nodeContent } from '../../helpers/slot-content.js'
import { isPassing, type Master, mastersOf, straysOf } from '../common/strays.js'

const TASKS = 240
const PARTITIONS = 12
/** Slots with keys of somebody else, on each master. */
const FOREIGN = 4

/** What is in a cluster: partitions with tasks in every state, slots with keys of every type of somebody else, and slots without keys. */
export interface Scene {
  /** A master that has a slot of each kind by now, with one of each, and of several the one with most keys of somebody else; and another. */
  ends(): Promise<{ from: Master; to: Master; masters: Master[]; slots: number[] }>
  /**
   * What is wrong with what is there. Nothing: every key is on its owner and nowhere else, every task in one place.
   * @param notes keys that may be there besides
   */
  faults(notes?: readonly string[]): Promise<string[]>
  /** Somebody goes on writing: one more key in every slot of somebody else. */
  write(): Promise<void>
}

export async function setScene(cluster: LocalCluster): Promise<Scene> {
  const open = async () => {
    const opened = new TaskQueue<{ job: number }>('jobs', {
      connection: cluster.connection,
      partitions: PARTITIONS,
    })
    await opened.connect()
    return opened
  }
  const writer = await open()
  await fillQueue(writer)
  await writer.disconnect()
  // Open only to read: one that is open writes down what it is, into a cluster that was emptied too.
  const withQueue = async <T>(use: (queue: TaskQueue<{ job: number }>) => Promise<T>): Promise<T> => {
    const queue = await open()
    try {
      return await use(queue)
    } finally {
      await queue.disconnect()
    }
  }
  const partitions = makePartitions('jobs', PARTITIONS).map(({ slot }) => slot)
  const masters = await mastersOf(cluster)
  const foreign = masters.flatMap((master) => {
    const [[from, to] = [0, 0]] = master.slots
    return Array.from(
      { length: FOREIGN },
      (_, i) => from + Math.floor(((to - from) * (i + 1)) / (FOREIGN + 1)),
    )
  })
  for (const slot of foreign)
    for (const master of masters) if (owns(master, slot)) await fillAll(master, slot)
  const before = new Map(await contentsOf(cluster))
  const tasks = await withQueue(countAll)
  const taken = new Set([...before.keys()].map(slotOf))
  let written = 0

  return {
    async ends() {
      const now = await mastersOf(cluster)
      const foreignOf = (master: Master) => foreign.filter((slot) => owns(master, slot))
      const [from] = now
        .filter((master) => partitions.some((slot) => owns(master, slot)))
        .sort((a, b) => foreignOf(b).length - foreignOf(a).length)
      const to = now.find(({ id, slots }) => id !== from?.id && slots.length > 0)
      const partition = partitions.find((slot) => from && owns(from, slot))
      const [full] = from ? foreignOf(from) : []
      const empty = from && slotsIn(from.slots).find((slot) => !taken.has(slot))
      if (!from || !to || partition === undefined || full === undefined || empty === undefined)
        throw new Error('no two masters, or no slots')
      return { from, to, masters: now, slots: [partition, full, empty] }
    },
    async write() {
      written++
      const now = await mastersOf(cluster)
      const names = foreign.map((slot) => keyIn(slot, `later ${written}`))
      for (const name of names)
        for (const { port } of now.filter((master) => owns(master, slotOf(name))))
          await tell(port, 'SET', name, written)
      const contents = await contentsOf(cluster)
      for (const name of names) {
        const found = contents.get(name)
        if (found) before.set(name, found)
      }
    },
    // A node that has just got slots may refuse everything for a moment.
    faults: (notes = []) =>
      eventually(async () => {
        const strays = await straysOf(cluster)
        if (strays.length > 0) return strays
        const now = await contentsOf(cluster)
        const missing = [...before].filter(([name, content]) => now.get(name)?.[0] !== content[0])
        const twice = [...now].filter(([, contents]) => contents.length > 1)
        // Stopped between its claim and the removal of its note, a mover leaves it with the owner, where it says nothing, and goes with the next move.
        const isSpent = (name: string) => isCopiesKey(Buffer.from(name))
        const added = [...now.keys()].filter(
          (name) => !before.has(name) && !notes.includes(name) && !isSpent(name),
        )
        const found = [
          ...missing.map(([name]) => `${name}: ${now.has(name) ? 'not as it was' : 'gone'}`),
          ...twice.map(([name]) => `${name}: on two masters`),
          ...added.map((name) => `${name}: was not there before`),
        ]
        if (found.length > 0) return found
        return withQueue(async (queue) => {
          const report = await queue.verify()
          const left = await countAll(queue)
          return [
            ...(report.clean ? [] : report.faults.map(({ text }) => text)),
            ...(left === tasks ? [] : [`${left} tasks where there were ${tasks}`]),
          ]
        })
      }, 20_000),
  }
}

async function fillQueue(writer: TaskQueue<{ job: number }>): Promise<void> {
  await writer.enqueueMany(
    Array.from({ length: TASKS }, (_, i) => ({
      type: 'job' as const,
      data: i,
      options: {
        // So many keys that every partition gets some.
        ...(i % 3 === 0 ? { partitionKey: `key ${i % 77}` } : {}),
        ...(i % 11 === 1 ? { delayMs: 86_400_000 } : {}),
      },
    })),
  )
  const taken = await writer.dequeue({ count: 40, leaseMs: 3_600_000 })
  await Promise.all(
    taken.map((delivery, i) =>
      i % 2 === 0
        ? delivery.fail(new Error('on purpose'), { retry: false })
        : delivery.checkpoint('half', { i }),
    ),
  )
}

const keyIn = (slot: number, name: string) => `{${tagForSlot(slot)}}${name}`

async function fillAll({ port }: Master, slot: number): Promise<void> {
  const key = (name: string) => keyIn(slot, name)
  const many = (count: number, of: (i: number) => (string | number)[]) =>
    Array.from({ length: count }, (_, i) => of(i)).flat()
  const commands: [string, ...(string | number)[]][] = [
    ['SET', key('string'), 'x'.repeat(2_000)],
    ['SET', key('with time'), 'v', 'PXAT', Date.now() + 86_400_000],
    ['RPUSH', key('list'), ...many(300, (i) => [i])],
    ['SADD', key('set'), ...many(700, (i) => [`m${i}`])],
    ['HSET', key('hash'), ...many(400, (i) => [`f${i}`, i])],
    ['ZADD', key('zset'), ...many(300, (i) => [i, `z${i}`])],
    ['XADD', key('stream'), '5-1', 'field', 'value'],
    ['XGROUP', 'CREATE', key('stream'), 'group', '0'],
  ]
  for (const [command, ...args] of commands) await tell(port, command, ...args)
}

/** Of all masters: what each key is, once for each that has it. Notes of a move that is under way are told. */
async function contentsOf(cluster: LocalCluster): Promise<ReadonlyMap<string, readonly string[]>> {
  const found = new Map<string, string[]>()
  for (const { port } of await mastersOf(cluster))
    for (const [name, content] of await nodeContent(port))
      if (!isPassing(name)) found.set(name, [...(found.get(name) ?? []), roughly(content)])
  return found
}

async function countAll(queue: TaskQueue<{ job: number }>): Promise<number> {
  let count = 0
  await eventually(async () => {
    const { ready, scheduled, dead, active } = await queue.depth()
    count = ready.high + ready.medium + ready.low + scheduled + dead + active
  }, 15_000)
  return count
}

/** MIGRATE tells what is left of a time to live, and so moves its end by some ms. */
const roughly = (content: string) => content.replace(/^(\w+) (\d+)\d{4} /, '$1 $2 ')
