import { expect, inject, it } from 'vitest'
import { type AnyDelivery, InvalidDataError, PayloadTooLargeError } from '../../src/index.js'
import { eventually, makeHarness, type TestTasks } from '../helpers/behaviour/harness.js'

const harness = makeHarness(() => ({ mode: 'single', url: inject('single').url }))
const results = { ttlMs: 60_000 }

const cycle: Record<string, unknown> = {}
cycle.itself = cycle

const RESULTS: Record<string, { readonly value: unknown; readonly error: typeof Error | undefined }> = {
  BigInt: { value: 10n, error: InvalidDataError as never },
  cycle: { value: cycle, error: InvalidDataError as never },
  function: { value: () => 1, error: InvalidDataError as never },
  large: { value: 'x'.repeat(2 * 1024 * 1024), error: PayloadTooLargeError as never },
  NaN: { value: { mean: Number.NaN }, error: InvalidDataError as never },
  Map: { value: new Map([[1, 2]]), error: InvalidDataError as never },
  fine: { value: [undefined, { none: undefined }], error: undefined },
}

/** The handler has done its work; to do it again for a result that cannot be stored helps nobody. */
it('a result that cannot be stored makes the task a dead letter at once, and its handler is not run again', async () => {
  const queue = await harness.queue({ results })
  const runs: Record<string, number> = {}
  const events: string[] = []
  const worker = await harness.worker(
    queue.name,
    {
      note: ({ data }) => {
        runs[data as string] = (runs[data as string] ?? 0) + 1
        return RESULTS[data as string]?.value
      },
    },
    { results, leaseMs: 500 },
  )
  const errors = new Map<unknown, Error>()
  worker.on('completed', ({ task }) => events.push(`completed ${task.data}`))
  worker.on('failed', ({ task }) => events.push(`failed ${task.data}`))
  worker.on('dead', ({ task, error }: { task: AnyDelivery<TestTasks>; error: Error }) => {
    events.push(`dead ${task.data}`)
    errors.set(task.data, error)
  })
  worker.on('error', (error) => events.push(`error ${error.message}`))
  await Promise.all(Object.keys(RESULTS).map((kind) => queue.enqueue('note', kind, { maxAttempts: 4 })))
  await eventually(() => expect(events).toHaveLength(Object.keys(RESULTS).length))
  for (const [kind, { error }] of Object.entries(RESULTS)) {
    expect(events).toContain(`${error ? 'dead' : 'completed'} ${kind}`)
    if (error) expect(errors.get(kind)).toBeInstanceOf(error)
  }
  expect(errors.get('NaN')?.message).toContain('result.mean is NaN')
  expect(runs).toEqual(Object.fromEntries(Object.keys(RESULTS).map((kind) => [kind, 1])))
  const { items } = await queue.deadLetters.list()
  expect(items.map(({ data, error }) => [data, error.name]).sort()).toEqual(
    [...errors].map(([data, error]) => [data, error.name]).sort(),
  )
  expect(worker.health().metrics).toEqual({ completed: 1, failed: 6, dead: 6, lost: 0 })
  expect(await queue.depth()).toMatchObject({ active: 0, scheduled: 0 })
})

it('complete() with such a result rejects, and the delivery stays open', async () => {
  const queue = await harness.queue({ results })
  const id = await queue.enqueue('note', 1)
  const [delivery] = await queue.dequeue()
  await expect(delivery?.complete(10n)).rejects.toBeInstanceOf(InvalidDataError)
  await delivery?.complete(10)
  expect(await queue.getTask(id)).toMatchObject({ state: 'completed', result: 10 })
})
