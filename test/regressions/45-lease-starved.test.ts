import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import type { Connection } from '../../src/connection/connection.js'
import type { Node } from '../../src/connection/node.js'
import { makePartitions, type Partition } from '../../src/keys/partitions.js'
import { Maintenance } from '../../src/queue/maintenance.js'
import type { Outlook } from '../../src/scripts/outlook.js'
import type { ScriptCall } from '../../src/scripts/script.js'

const [partition] = makePartitions('q', 1) as [Partition]
const QUIET: Outlook = {
  levels: [false, true, false],
  paused: false,
  scheduledInMs: undefined,
  leaseInMs: undefined,
  resultInMs: undefined,
}

beforeEach(() => void vi.useFakeTimers({ toFake: ['performance', 'setTimeout', 'clearTimeout'] }))
afterEach(() => void vi.useRealTimers())

/** A partition of which replies come in without end, one each ms, and which scripts are called there. */
function underLoad(outlook: Outlook, expiredLeases: string[] = [], fullPortions = 0) {
  const called: { script: string; atMs: number }[] = []
  const node = { up: true, generation: 1 } as Node
  const left = [...expiredLeases]
  const connection = {
    attempt: async (_slot: number, { script }: ScriptCall<unknown>) => {
      called.push({ script: script.name, atMs: performance.now() })
      if (script.name === 'recover') left.shift()
      const value =
        script.name === 'tend'
          ? { outlook, expiredLeases: [...left], more: called.length <= fullPortions, serverMs: 0 }
          : { kind: 'recovered', back: 1, died: 0, left: 0 }
      return { ok: true, value, node, confirmed: true }
    },
  } as unknown as Connection
  const maintenance = new Maintenance(partition, {
    connection,
    stopped: false,
    onLooked: (_, seen) => maintenance.heard(seen, true),
    onFailure: (_, fault) => maintenance.failed(fault),
    onNearer: () => undefined,
  })
  const startMs = performance.now()
  const play = async (ms: number) => {
    for (let i = 0; i < ms; i++) {
      await vi.advanceTimersByTimeAsync(1)
      maintenance.heard(outlook, true)
      if (maintenance.nextAtMs <= performance.now()) void maintenance.run()
    }
  }
  const first = (script: string) =>
    (called.find((call) => call.script === script)?.atMs ?? Infinity) - startMs
  return { play, first, called, maintenance }
}

it('a lease that has run out is recovered within its jitter, however many replies come', async () => {
  const load = underLoad({ ...QUIET, leaseInMs: 0 }, ['gone-1', 'gone-2'])
  await load.play(500)
  expect(load.first('recover')).toBeLessThanOrEqual(110)
  expect(load.called.filter(({ script }) => script === 'recover')).toHaveLength(2)
})

it('scheduled tasks are made ready when they are due', async () => {
  const load = underLoad({ ...QUIET, scheduledInMs: 0 })
  await load.play(20)
  expect(load.first('tend')).toBeLessThanOrEqual(2)
})

it('results are removed within 3 s after they expired, and no master is asked each ms for it', async () => {
  const load = underLoad({ ...QUIET, resultInMs: 0 })
  await load.play(9_000)
  expect(load.first('tend')).toBeLessThanOrEqual(3_001)
  expect(load.called.length).toBeLessThanOrEqual(9)
})

it('where nothing is due, replies are news enough', async () => {
  const load = underLoad(QUIET)
  await load.play(5_000)
  expect(load.called).toEqual([])
})

it('after a full portion the next follows at once', async () => {
  const load = underLoad(QUIET, [], 20)
  load.maintenance.by(performance.now())
  await load.play(100)
  expect(load.called).toHaveLength(21)
})
