import { expect, inject, it } from 'vitest'
import { eventually, makeHarness } from '../helpers/behaviour/harness.js'

const harness = makeHarness(() => ({ mode: 'single', url: inject('single').url }))

const revoked = Proxy.revocable({}, {})
revoked.revoke()

const broken = () => {
  throw new Error('then broke')
}

/** What a handler may return in place of a promise, and what becomes of its task. */
const RETURNED: Record<string, { readonly value: () => unknown; readonly outcome: string }> = {
  // biome-ignore lint/suspicious/noThenProperty: it is what is tested
  throws: { value: () => ({ then: broken }), outcome: 'dead then broke' },
  getter: { value: () => Object.defineProperty({}, 'then', { get: broken }), outcome: 'dead then broke' },
  revoked: { value: () => revoked.proxy, outcome: 'dead Cannot perform' },
  'own then of a promise': {
    // biome-ignore lint/suspicious/noThenProperty: it is what is tested
    value: () => Object.assign(Promise.resolve(1), { then: broken }),
    outcome: 'dead then broke',
  },
  'constructor of a promise': {
    value: () => Object.defineProperty(Promise.resolve(1), 'constructor', { get: broken }),
    outcome: 'dead then broke',
  },
  'calls back twice': {
    // biome-ignore lint/suspicious/noThenProperty: it is what is tested
    value: () => ({ then: (done: (value: unknown) => void) => [done('first'), done('second')] }),
    outcome: 'completed first',
  },
  'calls back, then throws': {
    value: () => ({
      // biome-ignore lint/suspicious/noThenProperty: it is what is tested
      then(done: (value: unknown) => void) {
        done('first')
        broken()
      },
    }),
    outcome: 'completed first',
  },
  nested: {
    // biome-ignore lint/suspicious/noThenProperty: it is what is tested
    value: () => ({ then: (done: (value: unknown) => void) => done(Promise.resolve('inner')) }),
    outcome: 'completed inner',
  },
  'rejects with nothing': { value: () => Promise.reject(Object.create(null)), outcome: 'dead [Object: null' },
}

it('a thenable that misbehaves fails its own attempt; the worker goes on and stops', async () => {
  const queue = await harness.queue()
  const outcomes = new Map<unknown, string>()
  const twice: unknown[] = []
  const errors: Error[] = []
  let good = 0
  const worker = await harness.worker(
    queue.name,
    {
      note: ({ data }) => RETURNED[data as string]?.value(),
      add: () => {
        good++
      },
    },
    { leaseMs: 500, concurrency: 3 },
  )
  const note = (data: unknown, outcome: string) => {
    if (outcomes.has(data)) twice.push(data)
    outcomes.set(data, outcome)
  }
  worker.on('completed', ({ task, result }) => {
    if (task.type === 'note') note(task.data, `completed ${result}`)
  })
  worker.on('dead', ({ task, error }) => note(task.data, `dead ${error.message}`))
  worker.on('error', (error) => errors.push(error))
  for (const data of Object.keys(RETURNED)) await queue.enqueue('note', data, { maxAttempts: 1 })
  await eventually(() => expect(outcomes.size).toBe(Object.keys(RETURNED).length))
  for (const [data, outcome] of outcomes) expect(outcome).toContain(RETURNED[data as string]?.outcome)
  await queue.enqueue('add', { a: 1, b: 1 })
  await eventually(() => expect(good).toBe(1))
  expect(worker.health()).toMatchObject({ status: 'healthy', active: 0 })
  await worker.stop()
  expect({ twice, errors }).toEqual({ twice: [], errors: [] })
})
