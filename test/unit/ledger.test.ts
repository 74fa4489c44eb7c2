import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { check, type Entry, type Fact, FileBook, MemoryBook, readBook } from '../../src/ledger/index.js'

/** Entries as `at(ms, fact)`; all by one process unless it says otherwise. */
const at = (atMs: number, fact: Fact, by = 'p'): Entry => ({ atMs, by, ...fact }) as Entry

const enqueue = (atMs: number, token: string, key?: string): Entry =>
  at(atMs, { what: 'enqueue', token, ...(key === undefined ? {} : { key }) })
const acknowledged = (atMs: number, token: string, id = `id-${token}`): Entry =>
  at(atMs, { what: 'acknowledged', token, id })
const rejected = (atMs: number, token: string): Entry => at(atMs, { what: 'rejected', token, error: 'no' })

/** A run from start to confirmed completion; `to` null: never confirmed, `ends: 'refused'`: refused. */
function run(
  token: string,
  from: number,
  to: number | null,
  {
    by = 'w',
    ends = 'completed' as 'completed' | 'refused' | 'failed' | 'dead',
    ran = true,
    id = `id-${token}`,
    attempt = undefined as number | undefined,
    error = 'LeaseLostError',
  } = {},
): Entry[] {
  return [
    at(from, { what: 'run', token, id, ...(attempt === undefined ? {} : { attempt }) }, by),
    ...(ran ? [at(from + 1, { what: 'ran', token, id }, by)] : []),
    ...(to === null
      ? []
      : ends === 'refused'
        ? [at(to, { what: 'refused', token, id, error }, by)]
        : [at(to, { what: ends, token, id }, by)]),
  ]
}

/** A task that is enqueued at 0 and acknowledged at 10. */
const task = (token: string, key?: string): Entry[] => [enqueue(0, token, key), acknowledged(10, token)]

const fault = (atMs: number, step = 'SIGKILL', { name = 'kill', nodes = true } = {}): Entry =>
  at(atMs, { what: 'fault', fault: name, step, nodes })
const healthy = (atMs: number, name = 'kill'): Entry => at(atMs, { what: 'healthy', fault: name })

describe('an account in order', () => {
  it('has nothing lost, nothing twice', () => {
    expect(check([...task('a'), ...run('a', 20, 30), ...task('b', 'key'), ...run('b', 20, 30)])).toEqual({
      enqueued: 2,
      acknowledged: 2,
      rejected: 0,
      lost: [],
      acknowledgedTwice: [],
      repeats: [],
      atOnce: [],
      completedTwice: [],
      faults: [],
    })
  })

  it('takes the entries of several processes in any order', () => {
    const entries = [...task('a'), ...run('a', 20, 30), fault(15), healthy(40)]
    expect(check([...entries].reverse())).toEqual(check(entries))
  })

  it('is empty where nothing was written', () => {
    expect(check([])).toMatchObject({ enqueued: 0, lost: [], faults: [] })
  })
})

describe('lost', () => {
  it('is what was acknowledged and never ran', () => {
    expect(check([...task('a'), ...task('b'), ...run('b', 20, 30)]).lost).toEqual(['a'])
  })

  it('is what a handler began and did not end', () => {
    expect(check([...task('a'), ...run('a', 20, null, { ran: false })]).lost).toEqual(['a'])
  })

  it('is what ran, and whose completion nobody heard of or the queue refused', () => {
    expect(check([...task('a'), ...run('a', 20, null)]).lost).toEqual(['a'])
    expect(check([...task('a'), ...run('a', 20, 30, { ends: 'refused' })]).lost).toEqual(['a'])
  })

  it('is not what the queue still holds', () => {
    expect(check([...task('a'), ...task('b')], new Set(['a'])).lost).toEqual(['b'])
  })

  it('is not what is dead, or was removed', () => {
    const dead = [...task('a'), ...run('a', 20, 30, { ends: 'dead', ran: false })]
    const removed = [...task('b'), at(20, { what: 'removed', token: 'b' })]
    expect(check([...dead, ...removed]).lost).toEqual([])
  })

  it('is what failed and was to be tried again', () => {
    const failed = [...task('a'), ...run('a', 20, 30, { ends: 'failed', ran: false })]
    expect(check(failed).lost).toEqual(['a'])
    expect(check([...failed, ...run('a', 50, 60)])).toMatchObject({ lost: [], repeats: [] })
    expect(check(failed, new Set(['a'])).lost).toEqual([])
  })

  it('is not what the queue says it has as completed, unconfirmed', () => {
    const end = { ends: 'refused', error: 'NotReplicatedError: stored' } as const
    expect(check([...task('a'), ...run('a', 20, 30, end)]).lost).toEqual([])
  })

  it('is not what had run when its worker was stopped, or a master was struck: it may be completed', () => {
    const stopped = at(25, { what: 'stopped', process: 'w' }, 'suite')
    expect(check([...task('a'), ...run('a', 20, null), stopped]).lost).toEqual([])
    expect(check([...task('a'), ...run('a', 20, null, { ran: false }), stopped]).lost).toEqual(['a'])
    expect(check([...task('a'), ...run('a', 20, null), fault(25)]).lost).toEqual([])
    expect(check([...task('a'), ...run('a', 20, 3_000, { ends: 'refused' }), fault(25)]).lost).toEqual([])
    const replica = fault(25, 'replica stopped', { nodes: false })
    expect(check([...task('a'), ...run('a', 20, null), replica]).lost).toEqual(['a'])
  })

  it('is not what ran at the second try', () => {
    const entries = [...task('a'), ...run('a', 20, null, { ran: false, by: 'w1' }), ...run('a', 50, 60)]
    expect(check(entries).lost).toEqual([])
  })

  it('is not what was rejected, whether or not it ran', () => {
    const found = check([
      enqueue(0, 'a'),
      rejected(10, 'a'),
      enqueue(0, 'b'),
      rejected(10, 'b'),
      ...run('b', 20, 30),
    ])
    expect(found).toMatchObject({ enqueued: 2, acknowledged: 0, rejected: 2, lost: [] })
  })

  it('is not what ran before its acknowledgement was heard', () => {
    expect(check([enqueue(0, 'a'), ...run('a', 5, 8), acknowledged(10, 'a')]).lost).toEqual([])
  })
})

describe('acknowledged twice', () => {
  it('is a token with two acknowledgements', () => {
    expect(check([...task('a'), acknowledged(20, 'a', 'other')]).acknowledgedTwice).toEqual(['a'])
  })

  it('is an id that two tokens got: the later one took the place of the first', () => {
    const entries = [enqueue(0, 'a'), acknowledged(5, 'a', '7'), enqueue(10, 'b'), acknowledged(15, 'b', '7')]
    expect(check(entries).acknowledgedTwice).toEqual(['b'])
  })
})

describe('a repeat', () => {
  const twice = (...entries: Entry[]) => check([...task('a'), ...entries])
  const reasons = (found: ReturnType<typeof check>) => found.repeats.map(({ reason }) => reason)

  it('without a fault has no reason', () => {
    const found = twice(...run('a', 20, 30), ...run('a', 50, 60))
    expect(found.repeats).toEqual([{ token: 'a', keyed: false, reason: 'unexplained' }])
  })

  it('is by each run but the last', () => {
    expect(reasons(twice(...run('a', 20, 30), ...run('a', 50, 60), ...run('a', 80, 90)))).toHaveLength(2)
  })

  it('says whether the task has a key', () => {
    const found = check([...task('k', 'key'), ...run('k', 20, 30), ...run('k', 50, 60)])
    expect(found.repeats).toEqual([{ token: 'k', keyed: true, reason: 'unexplained' }])
  })

  describe('worker stopped', () => {
    const stopped = (atMs: number, process = 'w') => at(atMs, { what: 'stopped', process }, 'suite')
    const resumed = (atMs: number, process = 'w') => at(atMs, { what: 'resumed', process }, 'suite')

    it('when its process was killed in the middle', () => {
      const found = twice(
        ...run('a', 20, null, { ran: false }),
        stopped(25),
        ...run('a', 5_000, 5_010, { by: 'v' }),
      )
      expect(reasons(found)).toEqual(['worker stopped'])
    })

    it('and is counted with the fault that stopped it, beside what else the worker had in hand', () => {
      const found = twice(
        ...run('a', 20, null, { ran: false }),
        ...task('b'),
        ...run('b', 20, 30, { by: 'v' }),
        ...task('c'),
        ...run('c', 22, null),
        stopped(25),
        fault(26, 'SIGKILL', { nodes: false }),
        ...run('a', 5_000, 5_010, { by: 'v' }),
        healthy(6_000),
      )
      expect(found.faults[0]).toMatchObject({ repeats: 1, inFlight: 2 })
    })

    it('when it was frozen, and refused as it came back', () => {
      const late = run('a', 20, 9_000, { ends: 'refused' })
      expect(
        reasons(twice(...late, stopped(25), resumed(8_000), ...run('a', 5_000, 5_010, { by: 'v' }))),
      ).toEqual(['worker stopped'])
    })

    it('not when it was accepted: then two were', () => {
      const late = run('a', 20, 9_000)
      const found = twice(...late, stopped(25), resumed(8_000), ...run('a', 5_000, 5_010, { by: 'v' }))
      expect(reasons(found)).toEqual(['unexplained'])
      expect(found.completedTwice).toEqual(['a'])
    })

    it('not when another process was stopped, nor when it ended before', () => {
      const other = twice(...run('a', 20, null), stopped(25, 'x'), ...run('a', 50, 60, { by: 'v' }))
      const before = twice(
        ...run('a', 20, 30, { ends: 'refused' }),
        stopped(40),
        ...run('a', 50, 60, { by: 'v' }),
      )
      expect([...reasons(other), ...reasons(before)]).toEqual(['unexplained', 'unexplained'])
    })
  })

  describe('delivery in flight', () => {
    it('when a node was struck between its start and its confirmation', () => {
      const found = twice(...run('a', 20, 3_000), fault(25), ...run('a', 2_500, 2_600))
      expect(reasons(found)).toEqual(['delivery in flight'])
      expect(found.faults[0]).toMatchObject({ fault: 'kill', repeats: 1 })
    })

    it('when it was never confirmed', () => {
      expect(
        reasons(twice(...run('a', 20, null), fault(25), ...run('a', 5_000, 5_010, { by: 'v' }))),
      ).toEqual(['delivery in flight'])
    })

    it('when it ended while the step that is noted next was being done', () => {
      expect(reasons(twice(...run('a', 11, 24), fault(65), ...run('a', 3_000, 3_010)))).toEqual([
        'delivery in flight',
      ])
    })

    it('when it began within two seconds of it, and then hung there', () => {
      expect(reasons(twice(...run('a', 1_900, 2_000), fault(65), ...run('a', 3_000, 3_010)))).toEqual([
        'delivery in flight',
      ])
      expect(reasons(twice(...run('a', 2_100, 2_200), fault(65), ...run('a', 3_000, 3_010)))).toEqual([
        'unexplained',
      ])
    })

    it('not when it was confirmed at once, after the strike or before', () => {
      expect(reasons(twice(...run('a', 1_000, 1_040), fault(65), ...run('a', 3_000, 3_010)))).toEqual([
        'unexplained',
      ])
      expect(reasons(twice(...run('a', 11, 24), fault(75), ...run('a', 3_000, 3_010)))).toEqual([
        'unexplained',
      ])
    })

    it('not by a step that struck no node', () => {
      const own = fault(25, 'worker killed', { nodes: false })
      expect(reasons(twice(...run('a', 20, 3_000), own, ...run('a', 2_500, 2_600)))).toEqual(['unexplained'])
    })

    it('by any step of the fault', () => {
      const found = twice(
        fault(12, 'replica stopped'),
        ...run('a', 5_000, 5_100),
        fault(5_050, 'master killed'),
        ...run('a', 9_000, 9_010),
        healthy(10_000),
      )
      expect(reasons(found)).toEqual(['delivery in flight'])
      expect(found.faults).toHaveLength(1)
    })
  })

  describe('enqueue in flight', () => {
    const slow = (key?: string) => [enqueue(0, 'a', key), acknowledged(2_000, 'a')]
    const runs = [...run('a', 2_100, 2_110), ...run('a', 4_000, 4_010)]

    it('when a node was struck while it was under way: there may be two copies', () => {
      const found = check([...slow(), fault(25), ...runs])
      expect(reasons(found)).toEqual(['enqueue in flight'])
      expect(found.completedTwice).toEqual([])
    })

    it('never for a task with a key, which has one place', () => {
      expect(reasons(check([...slow('key'), fault(25), ...runs]))).toEqual(['unexplained'])
    })

    it('not when it was answered before', () => {
      const runsAfter = [...run('a', 3_100, 3_110), ...run('a', 4_000, 4_010)]
      expect(reasons(check([...task('a'), fault(1_000), ...runsAfter]))).toEqual(['unexplained'])
    })

    it('also for one that was rejected, and stored all the same', () => {
      expect(reasons(check([enqueue(0, 'a'), rejected(900, 'a'), fault(25), ...runs]))).toEqual([
        'enqueue in flight',
      ])
    })
  })
})

it('tells attempts apart: one may begin before the failure of the last one is confirmed', () => {
  const id = 'id-a'
  const entries = [
    ...task('a'),
    at(20, { what: 'run', token: 'a', id, attempt: 1 }),
    at(30, { what: 'threw', token: 'a', id, attempt: 1 }),
    at(30, { what: 'run', token: 'a', id, attempt: 2 }),
    at(40, { what: 'failed', token: 'a', id, attempt: 1 }),
    at(50, { what: 'ran', token: 'a', id, attempt: 2 }),
    at(60, { what: 'completed', token: 'a', id, attempt: 2 }),
  ]
  expect(check(entries)).toMatchObject({ lost: [], repeats: [], atOnce: [] })
})

it('what was handed back is run again as it should be, and is lost if it is not', () => {
  const before = [
    ...task('a', 'key'),
    at(20, { what: 'run', token: 'a', id: 'i', attempt: 1 }),
    at(30, { what: 'released', token: 'a', id: 'i', attempt: 1 }),
  ]
  expect(check([...before, ...run('a', 400, 410, { by: 'v' })])).toMatchObject({ lost: [], repeats: [] })
  expect(check(before).lost).toEqual(['a'])
})

/** What one worker writes of one attempt: `run`, and then what is given, each at its time. */
const tale = (by: string, attempt: number, from: number, ...steps: Step[]) => {
  const fact = { token: 'a', id: 'id-a', attempt, run: from }
  return [
    at(from, { what: 'run', ...fact }, by),
    ...steps.map(([ms, what]) =>
      at(ms, what === 'refused' ? { what, ...fact, error: 'LeaseLostError' } : { what, ...fact }, by),
    ),
  ]
}
type Step = [atMs: number, what: 'ran' | 'threw' | 'completed' | 'refused' | 'failed' | 'dead' | 'released']

describe('a task that fails or is handed back', () => {
  const found = (key: string | undefined, ...entries: Entry[][]) => {
    const { repeats, atOnce, lost } = check([...task('a', key), ...entries.flat()])
    return { reasons: repeats.map(({ reason }) => reason), atOnce, lost }
  }
  const clean = { reasons: [], atOnce: [], lost: [] }
  const unexplained = { reasons: ['unexplained'], atOnce: [], lost: [] }
  const atOnce = { reasons: ['unexplained'], atOnce: ['a'], lost: [] }
  const completed = (attempt: number, from: number) =>
    tale('v', attempt, from, [from + 20, 'ran'], [from + 30, 'completed'])

  it('is run again at the next attempt, or at the same when it was handed back', () => {
    const failed = tale('w', 1, 20, [30, 'threw'], [900, 'failed'])
    expect(found('key', failed, completed(2, 40))).toEqual(clean)
    const back = tale('w', 1, 20, [30, 'threw'], [900, 'released'])
    expect(found('key', back, completed(1, 40))).toEqual(clean)
  })

  it('may fail by its result, when its handler has ended', () => {
    expect(found('key', tale('w', 1, 20, [30, 'ran'], [900, 'failed']), completed(2, 40))).toEqual(clean)
  })

  it.each(['failed', 'released', 'refused'] as const)(
    'is not to run twice at one attempt, whether or not the earlier one ends as %s',
    (end) => {
      const before = tale('w', 1, 20, [30, 'threw'], [40, 'failed'])
      const threw: Step[] = end === 'failed' ? [[4_500, 'threw']] : []
      const earlier = tale('w', 2, 1_000, ...threw, [4_501, end])
      const later = tale('v', 2, 1_100, [4_000, 'ran'], [4_001, 'completed'])
      expect(found('key', before, earlier, later)).toEqual(atOnce)
    },
  )

  it('is not to run again before its handler has ended', () => {
    const earlier = tale('w', 1, 1_000, [4_500, 'threw'], [4_501, 'refused'])
    expect(found('key', earlier, completed(2, 1_100))).toEqual(atOnce)
    expect(found(undefined, earlier, completed(2, 1_100))).toEqual(unexplained)
  })

  it('is not to run beside any of its runs, nor only beside the one before', () => {
    const long = tale('w', 1, 1_000, [9_000, 'ran'], [9_001, 'refused'])
    const second = tale('v', 2, 1_100, [1_200, 'threw'], [1_210, 'failed'])
    const { reasons, atOnce: tokens } = found('key', long, second, completed(3, 5_000))
    expect([reasons, tokens]).toEqual([['unexplained'], ['a']])
    // Of the last two alone nothing is to be said.
    expect(found('key', second, completed(3, 5_000))).toEqual(clean)
  })

  it('is not to run again when it is dead', () => {
    const dead = tale('w', 1, 20, [30, 'threw'], [31, 'dead'])
    expect(found('key', dead, completed(2, 40))).toEqual(unexplained)
    expect(found(undefined, dead, completed(2, 40))).toEqual(unexplained)
  })

  it('is not to run again at the attempt that has failed, nor at another than the one it was handed back at', () => {
    expect(found('key', tale('w', 1, 20, [30, 'threw'], [31, 'failed']), completed(1, 40))).toEqual(
      unexplained,
    )
    expect(found('key', tale('w', 2, 20, [31, 'released']), completed(1, 40))).toEqual(unexplained)
  })

  it('may have used up an attempt without a run where a worker stopped, or a master was struck, and nowhere else', () => {
    const failed = tale('w', 1, 20, [30, 'threw'], [40, 'failed'])
    const third = completed(3, 5_000)
    expect(found('key', failed, third)).toEqual(unexplained)
    expect(found('key', failed, [at(1_000, { what: 'stopped', process: 'u' })], third)).toEqual(clean)
    expect(found('key', failed, [fault(1_000)], third)).toEqual(clean)
    expect(found('key', failed, [fault(1_000, 'froze', { nodes: false })], third)).toEqual(unexplained)
    expect(found('key', failed, [fault(6_000)], third)).toEqual(unexplained)
  })
})

describe('a run or an enqueue of which no end was heard', () => {
  const LATE_MS = 600_000

  it('is in flight for no longer than somebody may be at it', () => {
    const story = [...task('a', 'key'), ...tale('w', 1, 20, [30, 'ran'])]
    expect(check(story).lost).toEqual(['a'])
    expect(check([...story, fault(LATE_MS), healthy(LATE_MS + 9_000)])).toMatchObject({
      lost: ['a'],
      faults: [{ inFlight: 0 }],
    })
    expect(check([...story, fault(60_000)]).lost).toEqual([])
  })

  it('ends with its process', () => {
    const killed = at(100, { what: 'stopped', process: 'w' })
    const story = [...task('a', 'key'), ...tale('w', 1, 20), killed]
    // Later than what is taken for the same fault.
    expect(check([...story, fault(1_500)]).faults).toMatchObject([{ inFlight: 0 }])
    expect(check([...story, fault(90)]).faults).toMatchObject([{ inFlight: 1 }])
    const resumed = at(150, { what: 'resumed', process: 'w' })
    expect(check([...story, resumed, fault(1_500)]).faults).toMatchObject([{ inFlight: 1 }])
  })

  it('excuses no repeat much later', () => {
    const again = run('a', 4_000, 4_010, { by: 'v', attempt: 2 })
    const reasons = (...entries: Entry[]) => check(entries).repeats.map(({ reason }) => reason)
    expect(reasons(...task('a'), ...tale('w', 1, 20, [30, 'ran']), ...again, fault(LATE_MS))).toEqual([
      'unexplained',
    ])
    const unanswered = [enqueue(0, 'a'), ...run('a', 20, 30), ...run('a', 700_000, 700_010, { by: 'v' })]
    expect(reasons(...unanswered, fault(LATE_MS))).toEqual(['unexplained'])
  })
})

describe('a run of which the worker did not hear that its failure was taken', () => {
  const entries = (threw: boolean, next: number) => [
    ...task('a', 'key'),
    at(20, { what: 'run', token: 'a', id: 'i', attempt: 1 }),
    ...(threw ? [at(30, { what: 'threw', token: 'a', id: 'i', attempt: 1 })] : []),
    ...run('a', 400, 410, { attempt: next, by: 'v' }),
    at(500, { what: 'refused', token: 'a', id: 'i', attempt: 1, error: 'LeaseLostError' }),
  ]

  it('is tried again as it should be', () => {
    expect(check(entries(true, 2)).repeats).toEqual([])
  })

  it('is run again without need if it did not fail, or its attempt is not counted', () => {
    expect(check(entries(false, 2)).repeats).toMatchObject([{ reason: 'unexplained' }])
    expect(check(entries(true, 1)).repeats).toMatchObject([{ reason: 'unexplained' }])
  })
})

it('tells runs of one attempt apart by their number', () => {
  const fact = (number: number) => ({ token: 'a', id: 'i', attempt: 1, run: number })
  const entries = [
    ...task('a'),
    at(20, { what: 'run', ...fact(7) }),
    fault(100),
    at(3_500, { what: 'run', ...fact(8) }),
    // The first of them; were it the second, nothing would explain that.
    at(3_510, { what: 'refused', ...fact(7), error: 'LeaseLostError' }),
    at(3_520, { what: 'completed', ...fact(8) }),
    healthy(4_000),
  ]
  expect(check(entries).repeats).toMatchObject([{ reason: 'delivery in flight' }])
  const other = entries.map((entry) => (entry.what === 'refused' ? { ...entry, run: 8 } : entry))
  expect(check(other).lost).toEqual(['a'])
})

describe('taken back while running', () => {
  const late = (key?: string) => [enqueue(0, 'a', key), acknowledged(900, 'a', 'new')]
  const first = (from = 100, to: number | null = 130) =>
    run('a', from, to, { id: 'old', ends: 'refused', attempt: 1 })
  const second = run('a', 1_000, 1_010, { id: 'new', attempt: 1 })
  const later = run('a', 1_200, 1_210, { id: 'new', attempt: 1 })
  const reasons = (entries: Entry[]) => check(entries).repeats.map(({ reason }) => reason)

  it('is a run under an id that was given up, begun before the task was acknowledged under another', () => {
    expect(reasons([...late(), ...first(), ...second])).toEqual(['taken back while running'])
  })

  it('may begin a moment after that: it had been handed out before', () => {
    expect(reasons([...late(), ...first(990, 995), ...second])).toEqual(['taken back while running'])
  })

  it('is not one that began later, nor one under the same id, however long the enqueue took', () => {
    expect(reasons([...late(), ...first(1_051, 1_060), ...later])).toEqual(['unexplained'])
    const same = run('a', 100, 130, { id: 'new' })
    expect(reasons([...late(), ...same, ...second])).toEqual(['unexplained'])
  })

  it('is never one of a task with a key', () => {
    expect(reasons([...late('key'), ...first(), ...second])).toEqual(['unexplained'])
  })

  it('may go on beside the other, whichever began first', () => {
    const own = run('a', 905, 1_200, { id: 'new', attempt: 1 })
    const copy = run('a', 910, 1_100, { id: 'old', ends: 'refused', attempt: 1 })
    expect(check([...late(), ...own, ...copy])).toMatchObject({ atOnce: [], completedTwice: [] })
    expect(reasons([...late(), ...own, ...copy])).toEqual(['taken back while running'])
    const completed = run('a', 910, 1_100, { id: 'old', attempt: 1 })
    expect(check([...late(), ...own, ...completed])).toMatchObject({ atOnce: [], completedTwice: [] })
    expect(check([...late('key'), ...own, ...copy]).atOnce).toEqual(['a'])
  })

  it('may have been completed as well', () => {
    const both = [...late(), ...run('a', 100, 130, { id: 'old' }), ...second]
    expect(check(both)).toMatchObject({ completedTwice: [], lost: [] })
  })
})

describe('a take-back that was lost with its master', () => {
  const enqueued = (key?: string) => [enqueue(0, 'a', key), acknowledged(150, 'a', 'new')]
  const runs = [...run('a', 900, 910, { id: 'new' }), ...run('a', 5_000, 5_010, { id: 'old' })]
  const reasons = (entries: Entry[]) => check(entries).repeats.map(({ reason }) => reason)

  it('shows in a run under an id that was given up, after a master was struck', () => {
    const found = check([...enqueued(), fault(3_000), ...runs])
    expect(found).toMatchObject({ completedTwice: [], lost: [] })
    expect(found.repeats.map(({ reason }) => reason)).toEqual(['take-back lost with its master'])
  })

  it('is no cause where no master was struck, or only a replica, or later; nor with a key', () => {
    for (const strikes of [[], [fault(3_000, 'replica stopped', { nodes: false })], [fault(6_000)]])
      expect(reasons([...enqueued(), ...strikes, ...runs])).toEqual(['unexplained'])
    expect(reasons([...enqueued('key'), fault(3_000), ...runs])).toEqual(['unexplained'])
  })
})

describe('a worker that is resumed with a task in its hands', () => {
  const stopped = [at(100, { what: 'stopped', process: 'v' }), at(5_000, { what: 'resumed', process: 'v' })]
  const second = run('a', 3_100, 3_200, { attempt: 2 })
  const late = (from: number, ends: 'refused' | 'completed') =>
    run('a', from, from + 10, { attempt: 1, by: 'v', ends })
  const found = (...entries: Entry[]) => check([...task('a', 'key'), ...entries, ...second])

  it('may begin to run it, if it is refused', () => {
    expect(found(...stopped, ...late(5_010, 'refused')).repeats).toMatchObject([{ reason: 'worker stopped' }])
  })

  it('has no excuse later, without a stop, or when its completion is accepted', () => {
    expect(found(...stopped, ...late(7_000, 'refused')).repeats).toMatchObject([{ reason: 'unexplained' }])
    expect(found(...late(5_010, 'refused')).repeats).toMatchObject([{ reason: 'unexplained' }])
    expect(found(...stopped, ...late(5_010, 'completed')).repeats).toMatchObject([{ reason: 'unexplained' }])
  })
})

describe('two runs at once', () => {
  const twice = (...more: Entry[]) =>
    check([
      ...task('a'),
      ...run('a', 20, 90, { attempt: 1 }),
      ...run('a', 50, 120, { attempt: 1, by: 'v', ends: 'refused' }),
      ...more,
    ])

  it('are a fault', () => {
    expect(twice().atOnce).toEqual(['a'])
  })

  it('are none with a cause: a worker that was stopped, a master that was struck', () => {
    expect(twice(fault(25)).atOnce).toEqual([])
    expect(twice(fault(25, 'replica stopped', { nodes: false })).atOnce).toEqual(['a'])
  })

  it('are none where one follows the other, or one is a later attempt of a task without a key', () => {
    const next = [...run('a', 20, 40, { attempt: 1 }), ...run('a', 50, 60, { attempt: 1 })]
    expect(check([...task('a'), ...next]).atOnce).toEqual([])
    const later = [...run('a', 20, 90, { attempt: 1 }), ...run('a', 50, 60, { attempt: 2 })]
    expect(check([...task('a'), ...later]).atOnce).toEqual([])
  })

  it('are a fault at whatever attempt where the task has a key', () => {
    const later = [...run('a', 20, 90, { attempt: 1 }), ...run('a', 50, 60, { attempt: 2 })]
    expect(check([...task('a', 'key'), ...later]).atOnce).toEqual(['a'])
  })
})

describe('fencing', () => {
  it('failed where two completions were accepted and nothing was in flight', () => {
    expect(check([...task('a'), ...run('a', 20, 30), ...run('a', 50, 60)]).completedTwice).toEqual(['a'])
  })

  it('held where the late one was refused', () => {
    const found = check([
      ...task('a'),
      ...run('a', 20, 90, { by: 'v', ends: 'refused' }),
      ...run('a', 50, 60),
    ])
    expect(found).toMatchObject({ completedTwice: [], repeats: [{ reason: 'unexplained' }] })
  })

  it('allows one completion more where an enqueue may have left two copies; never with a key', () => {
    const thrice = (key?: string) =>
      check([
        enqueue(0, 'a', key),
        fault(25),
        acknowledged(2_000, 'a'),
        ...run('a', 20, 3_000),
        ...run('a', 4_000, 4_010),
        ...run('a', 5_000, 5_010),
      ])
    expect(thrice().completedTwice).toEqual([])
    expect(thrice('key').completedTwice).toEqual(['a'])
  })

  it('is not to blame where the first completion was in flight when a node was struck', () => {
    const found = check([...task('a'), ...run('a', 20, 90), fault(25), ...run('a', 5_000, 5_010)])
    expect(found.completedTwice).toEqual([])
  })
})

describe('the findings of a fault', () => {
  it('count enqueues without a key that were under way from its first step until it was over', () => {
    const { faults } = check([
      enqueue(0, 'before'),
      acknowledged(10, 'before'),
      enqueue(90, 'across'),
      acknowledged(190, 'across'),
      fault(100),
      enqueue(200, 'slow'),
      acknowledged(700, 'slow'),
      enqueue(300, 'keyed', 'key'),
      acknowledged(990, 'keyed'),
      enqueue(400, 'refused'),
      rejected(450, 'refused'),
      healthy(1_000),
      enqueue(1_100, 'after'),
      acknowledged(9_000, 'after'),
    ])
    expect(faults).toEqual([
      { fault: 'kill', inFlight: 4, repeats: 0, enqueues: 3, rejected: 1, p99Ms: 500, longestMs: 500 },
    ])
  })

  it('leave out producers that were stopped themselves', () => {
    const { faults } = check([
      fault(0),
      enqueue(10, 'a'),
      at(20, { what: 'stopped', process: 'p' }),
      at(900, { what: 'resumed', process: 'p' }),
      acknowledged(950, 'a'),
      healthy(1_000),
    ])
    expect(faults[0]).toMatchObject({ enqueues: 0, longestMs: 0 })
  })

  it('count an enqueue that nobody answered until the fault is over', () => {
    const { faults } = check([fault(0), enqueue(100, 'a'), healthy(1_000)])
    expect(faults[0]).toMatchObject({ enqueues: 1, longestMs: 900 })
  })

  it('are apart for each fault, also of the same name', () => {
    const { faults } = check([
      fault(0),
      healthy(100),
      fault(200, 'SIGSTOP', { name: 'freeze' }),
      healthy(300, 'freeze'),
      fault(400),
      healthy(500),
    ])
    expect(faults.map((each) => each.fault)).toEqual(['kill', 'freeze', 'kill'])
  })
})

describe('the books', () => {
  const folder = () => {
    const dir = mkdtempSync(join(tmpdir(), 'shardq-ledger-'))
    onTestFinished(() => rmSync(dir, { recursive: true }))
    return dir
  }

  it('add time and writer', () => {
    const book = new MemoryBook('me')
    const from = Date.now()
    book.write({ what: 'enqueue', token: 'a' })
    expect(book.entries).toEqual([{ what: 'enqueue', token: 'a', by: 'me', atMs: expect.any(Number) }])
    expect(Math.abs((book.entries[0]?.atMs ?? 0) - from)).toBeLessThan(1_000)
  })

  it('are on disk before write returns, and read back the same', () => {
    const path = join(folder(), 'book')
    const book = new FileBook(path, 'me')
    book.write({ what: 'enqueue', token: 'a', key: 'k' })
    expect(readFileSync(path, 'utf8')).toMatch(/"token":"a".*\n$/)
    book.write({ what: 'rejected', token: 'a', error: 'a line\nbreak' })
    book.close()
    expect(readBook(path)).toMatchObject([
      { by: 'me', what: 'enqueue', token: 'a', key: 'k' },
      { what: 'rejected', error: 'a line\nbreak' },
    ])
  })

  it('lose no more than the line that a SIGKILL cut off', () => {
    const path = join(folder(), 'book')
    const whole = JSON.stringify(enqueue(1, 'a'))
    writeFileSync(path, `${whole}\n${whole.slice(0, 12)}`)
    expect(readBook(path)).toEqual([enqueue(1, 'a')])
  })
})
