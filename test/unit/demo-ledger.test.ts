import { describe, expect, it } from 'vitest'
import { drain } from '../../src/demo/drain.js'
import { makeGrid } from '../../src/demo/grid.js'
import { Ledger } from '../../src/demo/ledger.js'
import { produce } from '../../src/demo/producer.js'

const at = (calledMs: number, atMs: number) => ({ calledMs, atMs })

describe('the ledger', () => {
  it('balances when every acknowledged task ran', () => {
    const ledger = new Ledger()
    ledger.want(0)
    ledger.acknowledge('a', at(0, 10))
    ledger.want(50) // nobody was waiting before, so this gap is no stall
    ledger.want(60)
    ledger.complete('b') // the worker's report overtakes the acknowledgement
    ledger.acknowledge('b', at(50, 300))
    ledger.complete('a')
    ledger.acknowledge('c', at(60, 310))
    ledger.complete('c')
    expect(ledger.completed).toBe(3)
    expect(ledger.summary(0)).toEqual({
      enqueued: 3,
      completed: 3,
      lost: [],
      deliveredTwice: 0,
      unacknowledged: 0,
      rejected: 0,
      longestEnqueueMs: 250,
      longestGapMs: 250,
      balanced: true,
    })
  })

  it('names what was lost, and does not let another task that ran twice make up for it', () => {
    const ledger = new Ledger()
    for (const id of ['a', 'b', 'c']) ledger.acknowledge(id, at(0, 1))
    for (const id of ['a', 'a', 'c']) ledger.complete(id)
    expect(ledger.summary(0)).toMatchObject({
      enqueued: 3,
      completed: 2,
      lost: ['b'],
      deliveredTwice: 1,
      balanced: false,
    })
  })

  it('counts a task apart that ran although its enqueue was rejected', () => {
    const ledger = new Ledger()
    ledger.reject(at(0, 1000))
    ledger.acknowledge('b', at(1000, 1010))
    ledger.complete('a')
    ledger.complete('b')
    expect(ledger.summary(0)).toMatchObject({
      completed: 1,
      unacknowledged: 1,
      rejected: 1,
      longestEnqueueMs: 1000,
      balanced: true,
    })
  })

  it('does not balance while the queue holds something', () => {
    expect(new Ledger().summary(1).balanced).toBe(false)
  })
})

describe('the producer', () => {
  it('enqueues every pair once, at its pace, and again what was rejected', async () => {
    const ledger = new Ledger()
    const seen = new Set<string>()
    let calls = 0
    const queue = {
      enqueue: async (_type: string, { fast, slow }: { fast: number; slow: number }) => {
        if (++calls % 10 === 0) throw new Error('unavailable')
        seen.add(`${fast}/${slow}`)
        return `id-${fast}/${slow}`
      },
    }
    const started = performance.now()
    const signal = new AbortController().signal
    await produce({ queue, pairs: makeGrid(100), ledger, spreadOverMs: 200, signal })
    expect(performance.now() - started).toBeGreaterThan(190)
    expect(seen.size).toBe(100)
    const { enqueued, rejected } = ledger.summary(0)
    expect(enqueued).toBe(100)
    expect(calls).toBe(100 + rejected)
  })
})

describe('draining', () => {
  const empty = { ready: { high: 0, medium: 0, low: 0 }, active: 0, scheduled: 0, dead: 0 }

  it('waits for the last report, for a shard that is down, and until all is settled', async () => {
    const ledger = new Ledger()
    ledger.want(0)
    ledger.acknowledge('a', at(0, 1))
    let calls = 0
    const depth = async () => {
      calls++
      if (calls === 1) throw new Error('a shard is down')
      if (calls === 3) ledger.complete('a')
      return { ...empty, active: calls === 2 ? 1 : 0, dead: 2 }
    }
    const left = await drain({ depth }, ledger, () => calls >= 4, new AbortController().signal)
    expect([calls, left]).toEqual([4, 2])
  })

  it('ends at once when it is told to, even while the queue does not answer', async () => {
    const stop = new AbortController()
    const draining = drain({ depth: () => new Promise(() => {}) }, new Ledger(), () => true, stop.signal)
    stop.abort(new Error('interrupted'))
    await expect(draining).rejects.toThrow('interrupted')
  })
})
