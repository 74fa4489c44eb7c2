import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { afterEach, expect, it } from 'vitest'
import type { ConnectionOptions } from '../../../src/connection/options.js'
import { eventually, makeHarness } from './harness.js'

const LEASE_MS = 1_500
const TASKS = 100

/** What becomes of tasks whose worker dies, or stands still and comes back too late. */
export function lostWorkerBehaviour(connection: () => ConnectionOptions): void {
  const harness = makeHarness(connection)
  const children: ChildProcess[] = []

  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL')
  })

  async function holder(queue: string): Promise<ChildProcess> {
    const script = new URL('../processes/holder.ts', import.meta.url)
    const child = fork(script, [queue, String(TASKS), String(LEASE_MS)], {
      // Not as an argument: it may have a password, and the list of processes shows those.
      env: { ...process.env, CONNECTION: JSON.stringify(connection()) },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      execArgv: ['--import', 'tsx'],
    })
    children.push(child)
    const [message] = await once(child, 'message')
    expect(message).toEqual({ held: TASKS })
    return child
  }

  async function runByOthers(name: string): Promise<{ ids: Map<string, number>; waitedMs: () => number }> {
    const ids = new Map<string, number>()
    const worker = await harness.worker(name, { note: () => null }, { concurrency: 50 })
    const start = performance.now()
    let last = start
    worker.on('completed', ({ task }) => {
      ids.set(task.id, task.attempt)
      last = performance.now()
    })
    return { ids, waitedMs: () => last - start }
  }

  it('are all run by others within the lease and 2 s, after a SIGKILL', async () => {
    const queue = await harness.queue()
    const enqueued = await queue.enqueueMany(
      Array.from({ length: TASKS }, (_, i) => ({ type: 'note' as const, data: i })),
    )
    const child = await holder(queue.name)
    const { ids, waitedMs } = await runByOthers(queue.name)
    child.kill('SIGKILL')
    await eventually(() => expect(ids.size).toBe(TASKS), LEASE_MS + 5_000)
    expect(waitedMs()).toBeLessThanOrEqual(LEASE_MS + 2_000)
    expect([...ids.keys()].sort()).toEqual([...enqueued].sort())
    expect(new Set(ids.values())).toEqual(new Set([2]))
  })

  it('are refused from a worker that stood still and comes back too late', async () => {
    const queue = await harness.queue()
    await queue.enqueueMany(Array.from({ length: TASKS }, (_, i) => ({ type: 'note' as const, data: i })))
    const child = await holder(queue.name)
    child.kill('SIGSTOP')
    const { ids } = await runByOthers(queue.name)
    await eventually(() => expect(ids.size).toBe(TASKS), LEASE_MS + 5_000)
    child.send('complete')
    child.kill('SIGCONT')
    const [answer] = await once(child, 'message')
    expect(answer).toEqual({ completed: 0, refused: TASKS })
    expect(await queue.stats()).toMatchObject({ completed: TASKS, recovered: TASKS })
  })
}
