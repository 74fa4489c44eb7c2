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

/** When, in steps of 100 ms from `fromMs` on, a lease that has run out may be given away; undefined within a minute. */
function overAt(grace: RecoveryGrace, fromMs: number, before: (atMs: number) => void = () => undefined) {
  for (let atMs = fromMs; atMs < fromMs + 60_000; atMs += 100) {
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

describe('by a consumer', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['performance'] }))
  afterEach(() => void vi.useRealTimers())

  /** A partition whose only lease has run out; `recovered`: when it was given to others, by performance.now(). */
  function maintained(master: Node) {
    const [partition] = makePartitions('q', 1) as [Partition]
    const recovered: number[] = []
    const outlook: Outlook = {
      ...{ levels: [false, false, false], paused: false },
      ...{ scheduledInMs: undefined, leaseInMs: 0, resultInMs: undefined },
    }
    const connection = {
      attempt: async (_slot: number, { script }: ScriptCall<unknown>) => {
        if (script.name === 'recover') recovered.push(performance.now())
        const tended = { outlook, expiredLeases: recovered.length > 0 ? [] : ['lease'], more: false }
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
