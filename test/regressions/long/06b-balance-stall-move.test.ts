import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { withLink } from '../../../src/cluster/link.js'
import { TaskQueue } from '../../../src/index.js'
import { makePartitions, partitionOfKey } from '../../../src/keys/partitions.js'
import { ownCluster } from '../../helpers/own-cluster.js'

const OPEN_MS = 5_000
const WINDOW_MS = 500

it.each([false, true])(
  'a slot that is being moved stops no task without a key; some with its key wait: %s',
  async (keyed) => {
    const cluster = await ownCluster()
    const connection = { mode: 'cluster', nodes: cluster.seeds } as const
    const queue = new TaskQueue<{ note: number }>('open', { connection, partitions: 3 })
    await queue.connect()
    onTestFinished(() => queue.disconnect())
    const { nodes } = await cluster.status()
    const masters = nodes.filter(({ role }) => role === 'master')
    const [partition] = makePartitions('open', 3)
    if (!partition) throw new Error('no partition')
    const { slot } = partition
    const from = masters.find((node) => node.slots.some(([a, b]) => a <= slot && slot <= b))
    const to = masters.find((node) => node !== from)
    if (!from || !to) throw new Error('no masters')

    let done = 0
    let running = true
    const callers = Array.from({ length: 20 }, async () => {
      while (running) {
        await queue.enqueue('note', 1)
        done++
      }
    })
    const doneIn = async (ms: number) => {
      const before = done
      await sleep(ms)
      return done - before
    }
    await sleep(500)
    const usual = (await doneIn(1_000)) / 2
    await withLink(to, {}, (link) => link.text('CLUSTER', 'SETSLOT', slot, 'IMPORTING', from.id))
    await withLink(from, {}, (link) => link.text('CLUSTER', 'SETSLOT', slot, 'MIGRATING', to.id))
    let key = 0
    while (partitionOfKey(`k${key}`, 3) !== 0) key++
    const waiting = keyed
      ? Array.from({ length: 4 }, () => queue.enqueue('note', 2, { partitionKey: `k${key}` }))
      : []
    const windows: number[] = []
    for (let i = 0; i < OPEN_MS / WINDOW_MS; i++) windows.push(await doneIn(WINDOW_MS))
    for (const node of [from, to])
      await withLink(node, {}, (link) => link.text('CLUSTER', 'SETSLOT', slot, 'STABLE'))
    await Promise.all(waiting)
    running = false
    await Promise.all(callers)
    // Two masters of three; the rest is for a machine that has other things to do.
    expect(Math.min(...windows)).toBeGreaterThan(usual / 10)
    expect(windows.reduce((sum, count) => sum + count, 0) / windows.length).toBeGreaterThan(usual / 3)
  },
)
