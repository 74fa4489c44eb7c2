import { expect, inject, it } from 'vitest'
import { eventually, makeHarness } from '../helpers/behaviour/harness.js'

const harness = makeHarness(() => ({ mode: 'cluster', nodes: inject('cluster').nodes }))

it('looks at replicas where it is told to, and says the same a moment later', async () => {
  const queue = await harness.queue({
    connection: { mode: 'cluster', nodes: inject('cluster').nodes, readFrom: 'replica' },
  })
  const ids = await queue.enqueueMany(
    Array.from({ length: 30 }, (_, i) => ({ type: 'note' as const, data: i })),
  )
  const { shards } = await queue.health()
  const served = () =>
    queue
      .stats()
      .then(({ nodes }) => shards.map(({ replicas }) => nodes[replicas[0]?.node ?? '']?.commands ?? 0))
  const before = await served()
  await eventually(async () => {
    expect((await queue.depth()).ready.medium).toBe(30)
    expect(await queue.getTask(ids[7] ?? '')).toMatchObject({ id: ids[7], state: 'ready', data: 7 })
  })
  const after = await served()
  after.forEach((count, i) => {
    expect(count).toBeGreaterThan((before[i] ?? 0) + 5)
  })
  const [one] = await queue.dequeue({ blockMs: 1_000 })
  await eventually(async () => expect((await queue.getTask(one?.id ?? ''))?.state).toBe('active'))
  expect((await queue.stats()).redirects).toBe(0)
})
