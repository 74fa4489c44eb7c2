import { expect, inject, it } from 'vitest'
import { eventually, makeHarness } from '../helpers/behaviour/harness.js'

const harness = makeHarness(() => ({ mode: 'single', url: inject('single').url }))

/** As some clients of HTTP and databases make their errors. */
it('an error whose message is an object fails the attempt, keeps its backoff, and is what the dead letter says', async () => {
  const queue = await harness.queue()
  const events: string[] = []
  const worker = await harness.worker(queue.name, {
    note: () => {
      throw Object.assign(new TypeError('m'), { message: { code: 7 } })
    },
  })
  worker.on('failed', ({ error }) => events.push(`failed ${error.message}`))
  worker.on('dead', ({ error }) => events.push(`dead ${error.message}`))
  worker.on('error', (error) => events.push(`error ${error.message}`))
  await queue.enqueue('note', 1, { maxAttempts: 2, backoff: { type: 'fixed', delayMs: 1 } })
  await eventually(() => expect(events).toEqual(['failed { code: 7 }', 'dead { code: 7 }']))
  const { items } = await queue.deadLetters.list()
  expect(items).toMatchObject([{ error: { name: 'TypeError', message: '{ code: 7 }' } }])
  expect(worker.health().metrics).toEqual({ completed: 0, failed: 2, dead: 1, lost: 0 })
})
