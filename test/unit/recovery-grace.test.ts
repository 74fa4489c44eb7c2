import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Connection } from '../../src/connection/connection.js'
import type { Node } from '../../src/connection/node.js'
import { faultOfReply } from '../../src/connection/replies.js'
import { makePartitions, type Partition } from '../../src/keys/partitions.js'
import { Maintenance } from '../../src/queue/maintenance.js'
import { RecoveryGrace } from '../../src/queue/recovery-grace.js'
import type { Outlook } from '../../src/scripts/outlook.js'
import type { ScriptCall } from '../../src/scripts/script.js'

const node = (generation = 1, up = true) => ({ generation, up }) as { generation: number; up: boolean } & Node

/** When, in steps of 100 ms from `fromMs` on, a lease that has run out may be given away; undefined within 90 s. */
function overAt(grace: RecoveryGrace, fromMs: number, before: (atMs: number) => void = () => undefined) {
  for (let atMs = fromMs; atMs < fromMs + 90_000; atMs += 100) {
    before(atMs)
    if (grace.judge(['lease'], atMs).over.length > 0) return atMs
  }
  return undefined
}

describe('a lease that has run out', () => {
  it('is over at once for who has seen no break', () => {
    const grace = new RecoveryGrace()
    grace.follow(node(), 0)
    expect(overAt(grace, 100)).toBe(100)
  })

  it('is spared for 2 s after a break, and the time to ask again is told', () => {
    const grace = new RecoveryGrace()
    grace.follow(node(1), 0)
    const same = node(1)
    grace.follow(same, 0)
    grace.follow(Object.assign(same, { generation: 2 }), 5_000)
    expect(grace.judge(['lease'], 5_100)).toEqual({ over: [], againAtMs: 7_000 })
    expect(overAt(grace, 5_200)).toBe(7_000)
  })

  it('is over 2 s after it was first seen, where idle sockets break each second', () => {
    const grace = new RecoveryGrace()
    const master = node()
    grace.follow(master, 0)
    const breaking = (atMs: number) => {
      if (atMs % 1_000 !== 0) return
      master.generation++
      grace.follow(master, atMs)
    }
    breaking(10_000)
    expect(overAt(grace, 10_000, breaking)).toBe(12_000)
  })

  it('is spared anew when its master was away, but for 5 s at most', () => {
    const grace = new RecoveryGrace()
    const master = node()
    grace.follow(master, 0)
    const away = (atMs: number) => {
      if (atMs % 1_000 !== 0) return
      master.up = false
      grace.follow(master, atMs)
      master.up = true
      grace.follow(master, atMs)
    }
    away(10_000)
    expect(overAt(grace, 10_000, away)).toBe(15_000)
  })

  it('is spared anew when another master has taken over', () => {
    const grace = new RecoveryGrace()
    grace.follow(node(), 0)
    grace.follow(node(), 1_000)
    expect(overAt(grace, 1_000)).toBe(3_000)
    grace.follow(node(), 3_000)
    grace.judge(['other'], 3_000)
    grace.follow(node(), 4_500)
    expect(grace.judge(['other'], 5_500).over).toEqual([])
    expect(grace.judge(['other'], 6_500).over).toEqual(['other'])
  })
})

describe('a lease that has run out by a clock that was set ahead', () => {
  const EPOCH_MS = 1_800_000_000_000
  /** A look that took 10 ms, at a server whose clock is ahead by so many ms. */
  const look = (grace: RecoveryGrace, master: Node, atMs: number, aheadMs: number) =>
    grace.told(master, EPOCH_MS + atMs - 5 + aheadMs, atMs - 10, atMs)

  function jumped(byMs: number) {
    const grace = new RecoveryGrace()
    const master = node()
    look(grace, master, 1_000, 0)
    look(grace, master, 9_000, 0)
    look(grace, master, 10_000, byMs)
    return { grace, master }
  }

  it('is spared for as long as it ran out too early', () => {
    const { grace } = jumped(20_000)
    expect(grace.judge(['lease'], 10_000).over).toEqual([])
    const over = overAt(grace, 10_000) ?? 0
    // Less what the two calls leave open.
    expect(over).toBeGreaterThan(29_900)
    expect(over).toBeLessThanOrEqual(30_000)
  })

  it('is told as well when to ask again', () => {
    const { againAtMs } = jumped(20_000).grace.judge(['lease'], 10_000)
    expect(againAtMs).toBeGreaterThan(29_900)
    expect(againAtMs).toBeLessThanOrEqual(30_000)
  })

  it('is spared for a minute at most, however far and often the clock is set', () => {
    expect(overAt(jumped(3_600_000).grace, 10_000)).toBe(70_000)
    const { grace, master } = jumped(50_000)
    let aheadMs = 50_000
    const setting = (atMs: number) => {
      if (atMs % 1_000 !== 0) return
      aheadMs += 5_000
      look(grace, master, atMs, aheadMs)
    }
    expect(overAt(grace, 10_000, setting)).toBe(70_000)
  })

  it('is over at once where the clock is slewed, set back, or read in a call that took long', () => {
    expect(overAt(jumped(900).grace, 10_000)).toBe(10_000)
    expect(overAt(jumped(-40_000).grace, 10_000)).toBe(10_000)
    const slow = new RecoveryGrace()
    const master = node()
    // Answered at once, and read 5 s later: our own process was busy.
    slow.told(master, EPOCH_MS, 0, 5_000)
    look(slow, master, 10_000, 0)
    expect(overAt(slow, 10_000)).toBe(10_000)
    const slewed = new RecoveryGrace()
    for (let atMs = 1_000; atMs <= 100_000; atMs += 1_000) look(slewed, master, atMs, atMs / 20)
    expect(overAt(slewed, 100_000)).toBe(100_000)
  })

  it('is over at once by the first look, and by the first at another server', () => {
    const grace = new RecoveryGrace()
    look(grace, node(), 10_000, 40_000)
    expect(overAt(grace, 10_000)).toBe(10_000)
    const { grace: other } = jumped(0)
    look(other, node(), 10_000, 40_000)
    expect(overAt(other, 10_000)).toBe(10_000)
  })
})

describe('by a consumer', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }))
  afterEach(() => void vi.useRealTimers())

  /** A partition whose only lease has run out; `recovered`: when it was given to others, by performance.now(). */
  function maintained(master: Node, clock: { aheadMs: number } = { aheadMs: 0 }) {
    const [partition] = makePartitions('q', 1) as [Partition]
    const recovered: number[] = []
    const outlook: Outlook = {
      ...{ levels: [false, false, false], paused: false },
      ...{ scheduledInMs: undefined, leaseInMs: 0, resultInMs: undefined },
    }
    const connection = {
      attempt: async (_slot: number, { script }: ScriptCall<unknown>) => {
        if (script.name === 'recover') recovered.push(performance.now())
        const serverMs = 1_800_000_000_000 + performance.now() + clock.aheadMs
        const expiredLeases = recovered.length > 0 || clock.aheadMs < 0 ? [] : ['lease']
        const tended = { outlook, expiredLeases, more: false, serverMs }
        const value = script.name === 'tend' ? tended : { kind: 'recovered', back: 1, died: 0, left: 0 }
        return { ok: true, value, node: master, confirmed: true }
      },
    } as unknown as Connection
    const maintenance = new Maintenance(partition, {
      ...{ connection, stopped: false, onLooked: () => {}, onNearer: () => {} },
      onFailure: () => {},
    })
    return { maintenance, recovered }
  }

  async function looks(maintenance: Maintenance, forMs: number): Promise<void> {
    for (let ms = 0; ms < forMs; ms += 100) {
      await maintenance.run()
      vi.advanceTimersByTime(100)
    }
  }

  it('a lease that ran out while its master was away is recovered 2 s after that is back, and not before', async () => {
    const master = node()
    const { maintenance, recovered } = maintained(master)
    maintenance.followMaster(master)
    master.up = false
    maintenance.followMaster(master)
    vi.advanceTimersByTime(10_000)
    master.up = true
    maintenance.followMaster(master)
    const startMs = performance.now()
    await looks(maintenance, 3_000)
    expect(recovered).toEqual([startMs + 2_000])
  })

  it.each([
    'CLUSTERDOWN The cluster is down',
    'LOADING Redis is loading the dataset in memory',
    'BUSY Redis is busy running a script',
    'NOREPLICAS Not enough good replicas to write.',
    'MISCONF Redis is configured to save RDB snapshots',
    'TRYAGAIN Multiple keys request during rehashing of slot',
  ])('nor before the master has taken calls for 2 s: %s', async (refusal) => {
    const master = node()
    const { maintenance, recovered } = maintained(master)
    maintenance.followMaster(master)
    for (let ms = 0; ms < 3_000; ms += 100) {
      maintenance.failed(faultOfReply(new Error(refusal)))
      vi.advanceTimersByTime(100)
    }
    const startMs = performance.now()
    await looks(maintenance, 3_000)
    expect(recovered).toEqual([startMs + 1_900])
  })

  it('a lease that ran out when the clock of its server was set ahead is recovered as much later', async () => {
    const master = node()
    const clock = { aheadMs: -5_000 }
    const { maintenance, recovered } = maintained(master, clock)
    maintenance.followMaster(master)
    await maintenance.run()
    clock.aheadMs = 0
    const startMs = performance.now()
    await looks(maintenance, 6_000)
    expect(recovered).toEqual([startMs + 5_000])
  })

  it('a call that was refused to us alone spares no lease', async () => {
    const master = node()
    const { maintenance, recovered } = maintained(master)
    maintenance.followMaster(master)
    for (const words of ['NOPERM no permissions', 'OOM command not allowed', 'ERR of its own'])
      maintenance.failed(faultOfReply(new Error(words)))
    const startMs = performance.now()
    await looks(maintenance, 3_000)
    expect(recovered).toEqual([startMs])
  })
})
