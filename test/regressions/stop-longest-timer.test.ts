import { expect, inject, it, vi } from 'vitest'
import { sleep } from '../../src/connection/connection.js'
import { eventually, makeHarness } from '../helpers/behaviour/harness.js'

const harness = makeHarness(() => ({ mode: 'single', url: inject('single').url }))

it('stop waits as long as anybody likes: more than a timer takes does not have it spin', async () => {
  const queue = await harness.queue({ partitions: 1 })
  let end = () => {}
  const running = new Promise<void>((resolve) => {
    end = resolve
  })
  const worker = await harness.worker(queue.name, { note: () => running })
  await queue.enqueue('note', 1)
  await eventually(() => expect(worker.health().active).toBe(1))
  const timers = vi.spyOn(globalThis, 'setTimeout')
  try {
    const stopping = worker.stop({ timeoutMs: Number.MAX_SAFE_INTEGER })
    await sleep(200)
    expect(timers.mock.calls.filter(([, ms]) => Number(ms) > 2 ** 31 - 1)).toEqual([])
    expect(timers.mock.calls.length).toBeLessThan(50)
    end()
    await stopping
    expect(worker.health().metrics.completed).toBe(1)
  } finally {
    timers.mockRestore()
  }
})
