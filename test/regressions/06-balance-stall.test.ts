import { afterEach, describe, expect, it } from 'vitest'
import { sleep } from '../../src/connection/connection.js'
import { TaskQueue } from '../../src/index.js'
import { partitionOfKey } from '../../src/keys/partitions.js'
import { FakeCluster } from '../fake/fake-cluster.js'
import { FakeError } from '../fake/resp.js'

const REFUSED_MS = 1_000
const WINDOW_MS = 250

const closers: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

/** A queue of four partitions on two masters, and callers without a key that never rest. */
async function busyQueue() {
  const cluster = await FakeCluster.start()
  cluster.partitions = 4
  const connection = { mode: 'cluster', nodes: cluster.seeds, commandTimeoutMs: 1_000 } as const
  const queue = new TaskQueue<{ note: number }>('balance', { connection, partitions: 4 })
  await queue.connect()
  let done = 0
  let running = true
  const callers = Array.from({ length: 20 }, async () => {
    while (running) {
      await queue.enqueue('note', 1)
      done++
    }
  })
  closers.push(async () => {
    running = false
    await Promise.all(callers)
    await queue.disconnect()
    await cluster.stop()
  })
  const doneIn = async (ms: number) => {
    const before = done
    await sleep(ms)
    return done - before
  }
  return { cluster, queue, doneIn }
}

/** A key for each partition of the master that has the lower half of the slots. */
function keysOfFirstMaster(): string[] {
  return [0, 1].map((partition) => {
    for (let i = 0; ; i++) if (partitionOfKey(`k${i}`, 4) === partition) return `k${i}`
  })
}

describe.each([
  ['BUSY', 'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.'],
  ['TRYAGAIN', 'TRYAGAIN Multiple keys request during rehashing of slot'],
])('one master refuses for a while: %s', (_, text) => {
  it.each([false, true])(
    'tasks without a key go on at the pace of the others; some with a key wait: %s',
    async (keyed) => {
      const { cluster, queue, doneIn } = await busyQueue()
      const usual = await doneIn(WINDOW_MS * 2)
      let refusing = true
      cluster.a.script = ({ script }) => (refusing && script === 'enqueue' ? new FakeError(text) : undefined)
      const waiting = (keyed ? keysOfFirstMaster() : []).map((partitionKey) =>
        queue.enqueue('note', 2, { partitionKey }),
      )
      const windows: number[] = []
      for (let i = 0; i < REFUSED_MS / WINDOW_MS; i++) windows.push(await doneIn(WINDOW_MS))
      refusing = false
      await Promise.all(waiting)
      // Half as many masters, half as many tasks; the rest is for a machine that has other things to do.
      expect(Math.min(...windows)).toBeGreaterThan(usual / 2 / 10)
      expect(windows.reduce((sum, count) => sum + count, 0) / windows.length).toBeGreaterThan(usual / 2 / 4)
    },
  )
})
