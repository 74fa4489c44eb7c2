import { expect, inject, it } from 'vitest'
import { eventually, makeHarness } from '../helpers/behaviour/harness.js'

const harness = makeHarness(() => ({ mode: 'single', url: inject('single').url }))

it('without results nothing is stored, so a handler may return whatever it likes', async () => {
  const queue = await harness.queue()
  const returned = [10n, () => 1, Number.NaN, 'x'.repeat(2_000_000)]
  const results = new Set<unknown>()
  const worker = await harness.worker(queue.name, { note: ({ data }) => returned[data as number] })
  worker.on('completed', ({ result }) => results.add(result))
  await queue.enqueueMany(returned.map((_, i) => ({ type: 'note' as const, data: i })))
  await eventually(() => expect(results).toEqual(new Set(returned)))
})

it('with them, a task whose attempts are not used up dies of a result that cannot be stored, and is run once', async () => {
  const kept = { results: { ttlMs: 60_000 } }
  const queue = await harness.queue(kept)
  let runs = 0
  const errors: string[] = []
  const worker = await harness.worker(
    queue.name,
    {
      note: () => {
        runs++
        return 10n
      },
    },
    { ...kept, leaseMs: 500 },
  )
  worker.on('dead', ({ error }) => errors.push(error.name))
  const id = await queue.enqueue('note', 1, { maxAttempts: 3 })
  await eventually(() => expect(errors).toEqual(['InvalidDataError']))
  expect(await queue.getTask(id)).toMatchObject({ state: 'dead', error: { name: 'InvalidDataError' } })
  // A retry by hand is another run.
  expect(await queue.deadLetters.retry(id)).toBe(true)
  await eventually(() => expect(runs).toBe(2))
})
