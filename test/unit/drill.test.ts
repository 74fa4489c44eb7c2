import { describe, expect, it } from 'vitest'
import { drill, startCluster } from '../../src/cluster.js'
import { Complaints } from '../../src/drill/complaints.js'
import { DrillNotHealedError } from '../../src/drill/errors.js'
import { clientTimes, errorsElsewhere, type Moments, shardRates, stall } from '../../src/drill/measure.js'
import { DRILL_KINDS, type DrillOptions, resolveDrillOptions } from '../../src/drill/options.js'
import { Repairs } from '../../src/drill/repairs.js'
import type { DrillReport } from '../../src/drill/report.js'
import { parseLogLine, sightings } from '../../src/drill/server-log.js'
import { endOfSilence, longestSilence } from '../../src/drill/silence.js'
import { SILENT_STALL_LIMIT_MS, STALL_LIMIT_MS, stallLimitMs, verdict } from '../../src/drill/verdict.js'
import { InvalidOptionError } from '../../src/errors.js'
import type { Entry, Fact } from '../../src/ledger/index.js'

const cluster: DrillOptions['cluster'] = { mode: 'cluster', nodes: [{ host: '127.0.0.1', port: 1 }] }

describe('the options', () => {
  it('have defaults', () => {
    expect(resolveDrillOptions({ kind: 'kill', cluster })).toMatchObject({
      rate: 500,
      beforeMs: 3_000,
      afterMs: 3_000,
      freezeMs: undefined,
    })
  })

  it.each([
    ['kind', { kind: 'explode' as never }],
    ['rate', { rate: 9 }],
    ['rate', { rate: 1.5 }],
    ['beforeMs', { beforeMs: 0 }],
    ['afterMs', { afterMs: Number.NaN }],
    ['freezeMs', { kind: 'kill' as const, freezeMs: 1_000 }],
  ])('refuses a wrong %s', (option, wrong) => {
    const resolve = () => resolveDrillOptions({ kind: 'freeze', cluster, ...wrong })
    expect(resolve).toThrow(InvalidOptionError)
    expect(resolve).toThrow(new RegExp(`^${option}: `))
  })
})

describe('silence', () => {
  const every10 = (from: number, to: number) =>
    Array.from({ length: Math.ceil((to - from) / 10) }, (_, i) => from + 10 * i)

  it('ends where the longest pause after the strike ends, not at what was still under way', () => {
    const times = [...every10(0, 1_000), 1_002, 1_005, ...every10(8_400, 9_000)]
    expect(endOfSilence(times, 1_000, 9_000)).toBe(8_400)
  })

  it('never ends where nothing came any more, but what was still under way', () => {
    expect(endOfSilence([...every10(0, 1_000), 1_002], 1_000, 9_000)).toBeNull()
    expect(endOfSilence([], 1_000, 9_000)).toBeNull()
  })

  it('is as short as the usual pause where nothing was interrupted', () => {
    expect(endOfSilence(every10(0, 3_000), 1_005, 3_000)).toBeLessThan(1_100)
  })

  it('does not count a pause that began when there was nothing to do any more', () => {
    const times = [...every10(0, 1_000), ...every10(3_000, 5_000), 40_000]
    expect(endOfSilence(times, 1_000, 5_000)).toBe(3_000)
  })

  it('lasts longest between two moments', () => {
    const times = [100, 200, 900, 950]
    expect(longestSilence(times, 0, 1_000)).toBe(700)
    expect(longestSilence(times, 250, 800)).toBe(550)
    expect(longestSilence(times, 940, 5_000)).toBe(4_050)
    expect(longestSilence([], 0, 1_000)).toBe(1_000)
  })
})

describe("the servers' logs", () => {
  it('have the local time, to the millisecond', () => {
    expect(parseLogLine('12453:S 05 Mar 2024 10:11:12.345 # Failover election won: I am')).toEqual({
      atMs: new Date(2024, 2, 5, 10, 11, 12, 345).getTime(),
      text: 'Failover election won: I am',
    })
  })

  it('have lines without a time, which say nothing', () => {
    for (const line of ['', '=== REDIS BUG REPORT START', '7:M 05 Mar 2024 no time']) {
      expect(parseLogLine(line)).toBeNull()
    }
  })

  it('tell of detection, voting and election', () => {
    const lines = [
      [10, 'Marking node other as failing (quorum reached).'],
      [20, 'Marking node abc as failing (quorum reached).'],
      [25, 'FAIL message received from x about abc'],
      [30, 'Start of election delayed for 600 milliseconds (rank #0, offset 7).'],
      [40, 'Starting a failover election for epoch 7.'],
      [41, "Failover election won: I'm the new master."],
    ] as const
    const parsed = lines.map(([atMs, text]) => ({ atMs, text }))
    expect(sightings(parsed, 'abc')).toEqual({ failedMs: 20, electionMs: 40, wonMs: 41 })
    expect(sightings([], 'abc')).toEqual({ failedMs: null, electionMs: null, wonMs: null })
  })
})

const moments: Moments = {
  steady: { fromMs: 0, toMs: 1_000 },
  firstDeedMs: 1_000,
  strikeMs: 1_000,
  fedUntilMs: 5_000,
  failedMs: 2_500,
  promotedMs: 3_000,
  wholeMs: 4_000,
  endMs: 6_000,
}

/** Ids are `<master>.<number>`. */
const masterOf = (id: string) => id.split('.')[0] ?? ''
const queue = {
  keys: [
    { key: 'here', struck: true },
    { key: 'there', struck: false },
  ],
  masterOf,
}
const at = (atMs: number, fact: Fact): Entry => ({ atMs, by: 'drill', ...fact }) as Entry

describe('what clients see', () => {
  it('is when a task of the struck shard runs again, and one with a key is acknowledged', () => {
    const entries = [
      at(990, { what: 'enqueue', token: 'k', key: 'here' }),
      at(991, { what: 'enqueue', token: 'o', key: 'there' }),
      at(1_001, { what: 'run', token: '1', id: 'A.1' }),
      at(1_100, { what: 'acknowledged', token: 'o', id: 'B.1' }),
      at(2_000, { what: 'run', token: '2', id: 'B.2' }),
      at(3_040, { what: 'run', token: '3', id: 'A.3' }),
      at(4_500, { what: 'run', token: '4', id: 'A.4' }),
      at(4_500, { what: 'acknowledged', token: 'k', id: 'A.5' }),
    ]
    expect(clientTimes(entries, moments, queue, 'A')).toEqual({
      runsAgainMs: 2_040,
      afterPromotionMs: 40,
      keyedAcknowledgedMs: 3_500,
      wholeMs: 3_000,
    })
  })

  it('is nothing where the shard never came back', () => {
    const never = { ...moments, promotedMs: null, wholeMs: null }
    expect(clientTimes([at(1_002, { what: 'run', token: '1', id: 'A.1' })], never, queue, 'A')).toEqual({
      runsAgainMs: null,
      afterPromotionMs: null,
      keyedAcknowledgedMs: null,
      wholeMs: null,
    })
  })
})

describe('the stall', () => {
  it('is of enqueues that were under way during the fault, with and without a key apart', () => {
    const entries = [
      at(100, { what: 'enqueue', token: 'before' }),
      at(900, { what: 'acknowledged', token: 'before', id: 'A.0' }),
      at(950, { what: 'enqueue', token: 'across' }),
      at(1_150, { what: 'acknowledged', token: 'across', id: 'A.1' }),
      at(1_500, { what: 'enqueue', token: 'refused' }),
      at(1_600, { what: 'rejected', token: 'refused', error: 'no' }),
      at(1_700, { what: 'enqueue', token: 'keyed', key: 'here' }),
      at(3_700, { what: 'acknowledged', token: 'keyed', id: 'A.2' }),
      at(4_100, { what: 'enqueue', token: 'after' }),
      at(5_900, { what: 'acknowledged', token: 'after', id: 'A.3' }),
    ]
    expect(stall(entries, moments, 300)).toEqual({
      enqueues: 2,
      longestMs: 200,
      p99Ms: 200,
      limitMs: 300,
      rejected: 1,
      longestWithKeyMs: 2_000,
      rejectedWithKey: 0,
      noneAcknowledgedMs: 2_550,
    })
  })

  it('lasts to the end where nobody ever answered', () => {
    const entries = [
      at(1_500, { what: 'enqueue', token: 'a' }),
      at(7_500, { what: 'run', token: 'x', id: 'A.1' }),
    ]
    expect(stall(entries, moments, 300)).toMatchObject({ longestMs: 6_000, rejected: 1 })
  })
})

it('rates go by what each master had before', () => {
  const many = (from: number, to: number, each: number, master: string) =>
    Array.from({ length: Math.ceil((to - from) / each) }, (_, i) =>
      at(from + i * each, { what: 'acknowledged', token: `${master}${from}${i}`, id: `${master}.${i}` }),
    )
  const entries = [...many(0, 1_000, 10, 'A'), ...many(0, 1_000, 10, 'B'), ...many(1_000, 3_000, 5, 'B')]
  expect(shardRates(entries, moments, masterOf, ['A', 'B'], 'A')).toEqual([
    { master: 'A', struck: true, beforePerS: 100, duringPerS: 0 },
    { master: 'B', struck: false, beforePerS: 100, duringPerS: 200 },
  ])
})

it('errors elsewhere are those that the struck shard does not explain', () => {
  const entries = [
    at(0, { what: 'enqueue', token: 'h', key: 'here' }),
    at(0, { what: 'enqueue', token: 't', key: 'there' }),
    at(0, { what: 'enqueue', token: 'n' }),
    ...['h', 't', 'n'].map((token) => at(1, { what: 'rejected', token, error: 'no' })),
    at(2, { what: 'refused', token: 'x', id: 'A.1', error: 'lost' }),
    at(2, { what: 'refused', token: 'y', id: 'B.1', error: 'lost' }),
  ]
  expect(errorsElsewhere(entries, queue, 'A')).toBe(2)
})

describe('the verdict', () => {
  const good: Omit<DrillReport, 'checks' | 'passed'> = {
    kind: 'kill',
    cluster: { nodes: 6, masters: 3, nodeTimeoutMs: 1_000, local: true },
    struck: { master: 'A', replicas: ['a'], slots: 5_461, masterAfter: 'a' },
    load: {
      queue: 'q',
      rate: 500,
      enqueued: 10,
      acknowledged: 10,
      rejected: 0,
      keysLeft: 0,
      heldInTheEnd: 0,
    },
    failover: { detectionMs: 1, electionMs: 1, promotionMs: 2 },
    byServerLogs: null,
    client: { runsAgainMs: 3, afterPromotionMs: 1, keyedAcknowledgedMs: 4, wholeMs: 5 },
    stall: {
      enqueues: 5,
      longestMs: 300,
      p99Ms: 10,
      limitMs: 300,
      rejected: 0,
      longestWithKeyMs: 9_000,
      rejectedWithKey: 3,
      noneAcknowledgedMs: 10,
    },
    shards: [],
    ledger: {
      lost: [],
      acknowledgedTwice: [],
      deliveredTwice: 2,
      deliveredTwiceBy: { 'delivery in flight': 1, 'enqueue in flight': 1 },
      deliveredTwiceWithKey: 0,
      completedTwice: [],
      atOnce: [],
      inFlight: 20,
    },
    structure: [],
    errorsOnOtherShards: 0,
    complaints: [],
    notes: [],
  }
  const failed = (report: typeof good, missing: string[] = []) =>
    verdict(report, { promotion: true }, missing)
      .filter(({ passed }) => !passed)
      .map(({ check }) => check)

  it('allows what is promised: repeats of what was in flight, and rejections with a key', () => {
    expect(failed(good)).toEqual([])
  })

  it.each([
    ['lost', { ...good, ledger: { ...good.ledger, lost: ['1'] } }],
    ['an id given twice', { ...good, ledger: { ...good.ledger, acknowledgedTwice: ['1'] } }],
    ['without a reason', { ...good, ledger: { ...good.ledger, deliveredTwiceBy: { unexplained: 1 } } }],
    ['delivered twice with a key', { ...good, ledger: { ...good.ledger, deliveredTwiceWithKey: 1 } }],
    ['fencing', { ...good, ledger: { ...good.ledger, completedTwice: ['1'] } }],
    ['at the same time', { ...good, ledger: { ...good.ledger, atOnce: ['1'] } }],
    ['structure', { ...good, structure: ['a task in two places'] }],
    ['rejected', { ...good, stall: { ...good.stall, rejected: 1 } }],
    ['longest enqueue', { ...good, stall: { ...good.stall, longestMs: 301 } }],
    ['promoted', { ...good, failover: { ...good.failover, promotionMs: null } }],
    ['hands out', { ...good, client: { ...good.client, runsAgainMs: null } }],
    ['drained', { ...good, load: { ...good.load, heldInTheEnd: null } }],
    ['keys removed', { ...good, load: { ...good.load, keysLeft: 2 } }],
  ])('fails for one thing: %s', (text, report) => {
    expect(failed(report)).toEqual([expect.stringContaining(text)])
  })

  it('fails when the cluster is not whole, and asks for no promotion where none is expected', () => {
    expect(failed(good, ['node 7000 does not answer'])).toEqual(['the cluster is whole in the end'])
    const none = { ...good, failover: { detectionMs: null, electionMs: null, promotionMs: null } }
    expect(verdict(none, { promotion: false }, []).every(({ passed }) => passed)).toBe(true)
  })

  it('allows a silent master one command time-out more', () => {
    expect(DRILL_KINDS.map((kind) => [kind, stallLimitMs(kind)])).toEqual([
      ['failover', STALL_LIMIT_MS],
      ['restart', SILENT_STALL_LIMIT_MS],
      ['kill', STALL_LIMIT_MS],
      ['freeze', SILENT_STALL_LIMIT_MS],
      ['replica-lag', STALL_LIMIT_MS],
    ])
  })
})

describe('repairs', () => {
  it('are made last harm first, each whether or not another fails, and named where they do', async () => {
    const repairs = new Repairs()
    const made: string[] = []
    const owe = (name: string, fails = false) =>
      repairs.owe(name, async () => {
        made.push(name)
        if (fails) throw new Error('broken')
      })
    owe('first')
    owe('second', true)
    const done = owe('third')
    await done()
    const cause = new Error('why')
    const failure = await repairs.payAll(cause).catch((error: unknown) => error)
    expect(made).toEqual(['third', 'second', 'first'])
    expect(failure).toBeInstanceOf(DrillNotHealedError)
    expect(failure).toMatchObject({ undone: ['second (broken)'], cause })
  })
})

it('complaints are kept once each, and not without end', () => {
  const complaints = new Complaints()
  for (let i = 0; i < 1_000; i++) {
    complaints.add(new Error(`task 3.x${i} failed`))
    complaints.add(new Error(`reason ${i}`))
  }
  expect(complaints.list).toHaveLength(20)
  expect(complaints.list[0]).toBe('Error: task ... failed (1000 times)')
})

it('`shardq/cluster` has the drill beside the cluster', () => {
  expect([startCluster, drill]).toEqual([expect.any(Function), expect.any(Function)])
})
