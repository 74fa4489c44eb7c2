import { describe, expect, it } from 'vitest'
import type { ConnectionOptions } from '../../../src/connection/options.js'
import { EnqueueManyError, InvalidOptionError } from '../../../src/index.js'
import { makeHarness } from './harness.js'

const note = (data: unknown) => ({ type: 'note' as const, data })

/** What `enqueueMany` takes beside an array, and tasks that are many bytes. */
export function manyBehaviour(connection: () => ConnectionOptions): void {
  const harness = makeHarness(connection)

  describe('enqueueMany of what is not an array', () => {
    it('takes items from a generator as there is room for them', async () => {
      const queue = await harness.queue()
      let made = 0
      let stored = 0
      let mostAhead = 0
      function* items() {
        for (; made < 20_000; made++) {
          mostAhead = Math.max(mostAhead, made - stored)
          yield note('x'.repeat(1_000))
        }
      }
      const watch = setInterval(async () => {
        stored = (await queue.stats()).enqueued
      }, 5)
      const ids = await queue.enqueueMany(items())
      clearInterval(watch)
      expect(new Set(ids).size).toBe(20_000)
      expect((await queue.depth()).ready.medium).toBe(20_000)
      expect(mostAhead).toBeLessThan(18_000)
    })

    it('takes items from an asynchronous source', async () => {
      const queue = await harness.queue()
      async function* items() {
        for (let i = 0; i < 100; i++) {
          if (i % 10 === 0) await new Promise((resolve) => setImmediate(resolve))
          yield note(i)
        }
      }
      const ids = await queue.enqueueMany(items())
      for (const i of [0, 50, 99]) expect(await queue.getTask(ids[i] ?? '')).toMatchObject({ data: i })
    })

    it('ends at the first bad item, and says what became of those before it', async () => {
      const queue = await harness.queue()
      let asked = 0
      function* items() {
        for (const data of [1, 2, 1n, 4]) {
          asked++
          yield note(data)
        }
      }
      const error = await queue.enqueueMany(items()).catch((reason: unknown) => reason)
      expect(error).toBeInstanceOf(EnqueueManyError)
      const { ids, failures } = error as EnqueueManyError
      expect(ids.map((id) => id !== null)).toEqual([true, true, false])
      expect(failures).toMatchObject([{ index: 2, error: { name: 'InvalidDataError' } }])
      expect(failures[0]?.error.message).toContain('items[2].data')
      expect(asked).toBe(3)
      expect((await queue.depth()).ready.medium).toBe(2)
    })

    it('passes on what the source fails with', async () => {
      const queue = await harness.queue()
      function* items() {
        yield note(1)
        throw new Error('the file has ended early')
      }
      await expect(queue.enqueueMany(items())).rejects.toThrow('the file has ended early')
      expect((await queue.depth()).ready.medium).toBe(1)
    })

    it('has no ids for a source without items', async () => {
      const queue = await harness.queue()
      expect(await queue.enqueueMany(new Set())).toEqual([])
      expect(await queue.enqueueMany((async function* () {})())).toEqual([])
    })

    it.each([undefined, null, 5, 'text', {}])('refuses %j', async (items) => {
      const queue = await harness.queue()
      await expect(queue.enqueueMany(items as never)).rejects.toThrow(InvalidOptionError)
    })
  })

  describe('large tasks', () => {
    it('are handed out a few at a time, each once, and none is given back', async () => {
      const queue = await harness.queue({ partitions: 1 })
      const data = 'x'.repeat(100_000)
      const count = 60
      await queue.enqueueMany(Array.from({ length: count }, () => note(data)))
      const taken = await queue.take({
        count: 1_000,
        blockMs: 0,
        leaseMs: 30_000,
        fill: false,
        levels: [0, 1, 2],
      })
      // Half a megabyte, and what was read before the size was known.
      expect(taken.length).toBeGreaterThan(0)
      expect(taken.length).toBeLessThanOrEqual(16)
      const rest = await queue.dequeue({ count: 1_000 })
      expect(new Set([...taken, ...rest].map(({ id }) => id)).size).toBe(count)
      for (const delivery of [...taken, ...rest]) await delivery.complete()
      expect(await queue.depth()).toMatchObject({ ready: { medium: 0 }, active: 0 })
    })
  })
}
