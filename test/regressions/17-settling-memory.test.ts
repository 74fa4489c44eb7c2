import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { Node } from '../../src/connection/node.js'
import { makePartitions, type Partition } from '../../src/keys/partitions.js'
import { Acknowledgement } from '../../src/queue/acknowledgement.js'
import type { Durability } from '../../src/queue/durability.js'
import { Settling } from '../../src/queue/settling.js'

const [partition] = makePartitions('q', 1) as [Partition]
const node = { up: true, generation: 1 } as Node

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }))
afterEach(() => void vi.useRealTimers())

function settled() {
  const durability = { ofPast: async () => 'safe' } as unknown as Durability
  const again: Acknowledgement[] = []
  const settling = new Settling('q', partition, durability, (some) => void again.push(...some))
  let next = 0
  const secure = async (count: number, result = '') => {
    const done = Array.from({ length: count }, () => {
      const id = `0.producer${next++}`
      const receiver = { acknowledged() {}, refused() {} }
      return new Acknowledgement({ id, bundle: undefined, place: 0 }, 'lease-1', result, 1e9, 1e9, receiver)
    })
    await settling.secure(done, node)
  }
  return { settling, secure, again }
}

it('what was acknowledged is remembered for some seconds, and not until there is too much of it', async () => {
  const { settling, secure } = settled()
  let most = 0
  for (let second = 0; second < 60; second++) {
    await secure(100)
    most = Math.max(most, settling.rememberedBytes)
    vi.advanceTimersByTime(1_000)
  }
  expect(most).toBeGreaterThan(0)
  // Seven seconds of it, each of some 1.6 KB.
  expect(most).toBeLessThan(7 * 2_000)
})

it('is forgotten by a partition of which nothing more is acknowledged, when it is looked at', async () => {
  const { settling, secure } = settled()
  await secure(100)
  vi.advanceTimersByTime(2_000)
  settling.forget()
  expect(settling.rememberedBytes).toBeGreaterThan(0)
  vi.advanceTimersByTime(2_000)
  settling.forget()
  expect(settling.rememberedBytes).toBe(0)
})

it('of large results the last ones are remembered, and of all tasks that they are completed', async () => {
  const { settling, secure, again } = settled()
  const result = JSON.stringify('x'.repeat(100_000))
  for (let i = 0; i < 20; i++) await secure(1, result)
  expect(settling.rememberedBytes).toBeLessThan(600_000)
  settling.followMaster({ up: true, generation: 2 } as Node)
  expect(again.map(({ task }) => task.id)).toEqual(Array.from({ length: 20 }, (_, i) => `0.producer${i}`))
  expect(again.map((each) => each.result)).toEqual([...Array(15).fill(''), ...Array(5).fill(result)])
})
