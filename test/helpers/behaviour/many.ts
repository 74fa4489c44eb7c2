import { describe, expect, it } from 'vitest'
import type { ConnectionOptions } from '../../../src/connection/options.js'
import { EnqueueManyError, InvalidOptionError } from '../../../src/index.js'
import { makeHarness } from './harness.js'

const note = (data: unknown) => ({ type: 'note' as const, data })

/** What `enqueueMany` takes beside an array. */
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
}
