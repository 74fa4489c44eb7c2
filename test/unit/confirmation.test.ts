import { describe, expect, it } from 'vitest'
import {
  type ConfirmationOptions,
  confirmationFor,
  type Replicas,
} from '../../src/connection/confirmation.js'
import { Node } from '../../src/connection/node.js'

const nodeOf = (port: number) => new Node({ host: '127.0.0.1', port }, options(), () => {})
const options = () => ({ username: undefined, password: undefined, tls: undefined, connectTimeoutMs: 1 })
const master = nodeOf(7000)
const some = [7001, 7002, 7003].map(nodeOf)

/** What a master knows: who counts, who is not in sync, who else is attached, and who has acknowledged how much. */
interface View {
  counted: number
  syncing: number
  /** Attached replicas that do not count. */
  others: number
  /** Ms since a report showed that there are none. */
  certainMs: number
  /** What each of `some` has acknowledged, and then each of the others. */
  offsets: readonly number[]
  othersOffset: number
}

const OFFSET = 100

function ruleOf(seen: Partial<View>, wanted: Partial<ConfirmationOptions> = {}) {
  const view: View = {
    counted: 1,
    syncing: 0,
    others: 0,
    certainMs: (seen.others ?? 0) + (seen.syncing ?? 0) > 0 ? Number.POSITIVE_INFINITY : 0,
    offsets: [OFFSET, OFFSET, OFFSET],
    othersOffset: OFFSET,
    ...seen,
  }
  const syncing = () => some.slice(0, view.syncing)
  const states: Replicas = {
    of: () => ({ counted: some.slice(0, view.counted), syncing: syncing() }),
    look: async () => {},
    take: () => {},
    exclusiveAtMs: () => performance.now() - view.certainMs,
    syncingOf: (_, replicas) => replicas.filter((replica) => syncing().includes(replica)),
    othersThan: () => view.others,
    acknowledged: (_, replicas, offset) =>
      replicas.filter((replica) => (view.offsets[some.indexOf(replica)] ?? 0) >= offset).length,
    acknowledgedByOthers: (_, __, offset) => (view.othersOffset >= offset ? view.others : 0),
    membersAttachedTo: () => [],
  }
  const rule = confirmationFor(states, {
    mode: 'cluster',
    durability: 'replicated',
    confirm: 'all',
    minReplicas: 1,
    timeoutMs: 100,
    longestMs: 7_500,
    ...wanted,
  })
  if (!rule) throw new Error('no rule')
  return { rule, view }
}

const INFO = ['INFO', 'replication']
const LISTS = 'slave0:ip=127.0.0.1,port=7001,state=online,offset=1,lag=0\r\n'
const SAYS = `${LISTS}master_repl_offset:${OFFSET}\r\n`

describe('how many replicas have to confirm', () => {
  it.each([
    [{ counted: 1 }, 'all', 1, 1, 1],
    [{ counted: 2 }, 'all', 1, 2, 2],
    [{ counted: 3 }, 'all', 1, 3, 3],
    [{ counted: 0 }, 'all', 1, 1, 0],
    [{ counted: 1 }, 'all', 2, 2, 1],
    [{ counted: 2, syncing: 1 }, 'all', 1, 1, 1],
    [{ counted: 1, syncing: 1 }, 'all', 1, 1, 0],
    [{ counted: 2, syncing: 1 }, 'all', 2, 2, 1],
    [{ counted: 2, others: 1 }, 'all', 1, 2, 2],
    [{ counted: 0, others: 1 }, 'all', 1, 1, 0],
    [{ counted: 1 }, 'majority', 1, 1, 1],
    [{ counted: 2 }, 'majority', 1, 2, 2],
    [{ counted: 3 }, 'majority', 1, 2, 2],
    [{ counted: 0 }, 'majority', 1, 1, 0],
    [{ counted: 3 }, 1, 1, 1, 1],
    [{ counted: 3 }, 2, 1, 2, 2],
    [{ counted: 1 }, 2, 1, 1, 1],
    [{ counted: 1 }, 2, 2, 2, 1],
  ] as const)('of %j, confirm %s, minReplicas %i: %i, and for what is done already %i', (...given) => {
    const [replicas, confirm, minReplicas, required, past] = given
    const { rule } = ruleOf(replicas, { confirm, minReplicas })
    expect(rule.required(master)).toBe(required)
    expect(rule.past().required(master)).toBe(past)
    // Others that acknowledge are waited for too: else they would be the ones that answer first.
    const { others = 0, syncing = 0 } = { ...replicas } as Partial<View>
    const wait = ['WAIT', required + others, 100]
    expect(rule.ask(master).commands).toEqual(others + syncing > 0 ? [INFO, wait, INFO] : [wait])
  })

  it('is the larger of the numbers when the call is sent and when the reply comes', () => {
    const { rule, view } = ruleOf({ counted: 1 })
    const question = rule.ask(master)
    expect(question.judge([1])).toBe('confirmed')
    view.counted = 2
    expect(question.judge([1])).toBe('unconfirmed')
    expect(question.judge([2])).toBe('confirmed')
    const later = rule.ask(master)
    view.counted = 1
    expect(later.judge([1])).toBe('unconfirmed')
  })

  it('is the larger of the numbers also where the master is asked who it was', () => {
    const { rule, view } = ruleOf({ counted: 1, certainMs: 10_000 })
    const question = rule.ask(master)
    expect(question.judge([SAYS, 1, SAYS])).toBe('confirmed')
    view.counted = 2
    expect(question.judge([SAYS, 1, SAYS])).toMatchObject({ commands: [['WAIT', 2, 5], INFO] })
    const later = rule.ask(master)
    view.counted = 1
    view.offsets = [OFFSET, 1]
    expect(later.judge([SAYS, 2, SAYS])).toMatchObject({ commands: [['WAIT', 3, 5], INFO] })
  })

  it('holds for the disks of replicas, too', () => {
    const { rule } = ruleOf({ counted: 2 }, { durability: 'fsynced' })
    const { commands, judge } = rule.ask(master)
    expect(commands).toEqual([['WAITAOF', 1, 2, 100]])
    expect([[1, 2], [1, 1], [0, 2], 2].map((reply) => judge([reply]))).toEqual([
      'confirmed',
      'unconfirmed',
      'unconfirmed',
      'unconfirmed',
    ])
  })

  it.each([
    ['replicated', 'all', ['WAIT', 1, 100]],
    ['replicated', 2, ['WAIT', 2, 100]],
    ['fsynced', 'all', ['WAITAOF', 1, 0, 100]],
  ] as const)('on a single server: %s, %s', (durability, confirm, command) => {
    const { rule } = ruleOf({ counted: 0 }, { mode: 'single', durability, confirm })
    expect(rule.ask(master).commands).toEqual([command])
    expect(rule.past().ask(master).commands).toEqual([command])
    expect(rule.shortfallOf(master)).toBeUndefined()
  })

  it.each([
    [{ counted: 1 }, 1, undefined],
    [{ counted: 0 }, 1, 'the cluster counts no replica of 127.0.0.1:7000'],
    [{ counted: 1 }, 2, 'the cluster counts 1 replica of 127.0.0.1:7000, and minReplicas is 2'],
    [
      { counted: 1, syncing: 1 },
      1,
      '127.0.0.1:7001, replica of 127.0.0.1:7000, is still receiving its first copy',
    ],
    [{ counted: 2, syncing: 1 }, 1, undefined],
  ] as const)('says why %j are too few for minReplicas %i', (replicas, minReplicas, why) => {
    expect(ruleOf(replicas, { minReplicas }).rule.shortfallOf(master)).toBe(why)
  })
})

describe('who has confirmed', () => {
  it('is certain for a second after a report showed nobody else, when the reply comes; it is renewed after a quarter of it', () => {
    const { rule, view } = ruleOf({ certainMs: 200 })
    const question = rule.ask(master)
    expect(question.commands).toEqual([['WAIT', 1, 100]])
    view.certainMs = 1_001
    expect(question.judge([1])).toMatchObject({ commands: [INFO, ['WAIT', 2, 5], INFO] })
    expect(question.judge([0])).toBe('unconfirmed')
    view.certainMs = 251
    expect(rule.ask(master).commands).toEqual([INFO, ['WAIT', 1, 100], INFO])
  })

  it('is asked of the master in any case by a shard that did not confirm before', () => {
    expect(ruleOf({}).rule.ask(master, 0, true).commands).toEqual([INFO, ['WAIT', 1, 100], INFO])
  })

  it('is whoever has acknowledged what the master had written before the WAIT', () => {
    const { rule, view } = ruleOf({ counted: 2, others: 1, offsets: [OFFSET, OFFSET - 1] })
    const question = rule.ask(master)
    expect(question.commands[1]).toEqual(['WAIT', 3, 100])
    // Two have it, and one of them does not count.
    const next = question.judge([SAYS, 2, SAYS])
    if (typeof next === 'string') throw new Error(next)
    // What was written meanwhile need not be acknowledged.
    expect(next.judge([3, `${LISTS}master_repl_offset:999\r\n`])).toMatchObject({
      commands: [['WAIT', 4, 5], INFO],
    })
    view.offsets = [OFFSET, OFFSET]
    expect(next.judge([3, SAYS])).toBe('confirmed')
  })

  it('is not waited for any longer when the time is over', async () => {
    const { rule } = ruleOf({ others: 1, offsets: [0] }, { timeoutMs: 5 })
    const question = rule.ask(master)
    await new Promise((resolve) => setTimeout(resolve, 10))
    expect(question.judge([SAYS, 1, SAYS])).toBe('unconfirmed')
  })

  it('is nobody, where the master does not say it', () => {
    const { judge } = ruleOf({ others: 1 }).rule.ask(master)
    const denied = new Error('NOPERM')
    expect([
      judge([SAYS, 2, denied]),
      judge([denied, 2, SAYS]),
      judge([SAYS, denied, SAYS]),
      judge([LISTS, 2, SAYS]),
    ]).toEqual(Array(4).fill('unconfirmed'))
  })

  it('is told by the number alone where a hosted server lists no replicas', () => {
    const { rule } = ruleOf({ counted: 2, certainMs: 10_000, offsets: [] })
    const { judge } = rule.ask(master)
    const silent = 'role:master\r\nconnected_slaves:0\r\n'
    expect([1, 2].map((n) => judge([silent, n, silent]))).toEqual(['unconfirmed', 'confirmed'])
    expect(judge([silent, 2, SAYS])).toBe('unconfirmed')
  })

  it('is not known of disks: whoever has it in memory, and does not count, may be among those that were counted', () => {
    const { rule, view } = ruleOf({ others: 1 }, { durability: 'fsynced' })
    const { commands, judge } = rule.ask(master)
    expect(commands).toEqual([INFO, ['WAITAOF', 1, 2, 100], INFO])
    expect(judge([SAYS, [1, 1], SAYS])).toMatchObject({ timeoutMs: 5 })
    expect(judge([SAYS, [1, 2], SAYS])).toBe('confirmed')
    view.othersOffset = 1
    expect(judge([SAYS, [1, 1], SAYS])).toBe('confirmed')
  })
})

describe('how long they are given', () => {
  it.each([
    [0, 100],
    [1024 * 1024, 100],
    [1024 * 1024 + 4_000_000, 1_100],
    [1024 * 1024 + 20_000_000, 5_100],
    [1024 * 1024 * 1024, 7_500],
  ])('%i bytes: %i ms', (bytes, ms) => {
    const { rule } = ruleOf({})
    expect(rule.timeoutMsFor(bytes)).toBe(ms)
    expect(rule.ask(master, bytes)).toMatchObject({ commands: [['WAIT', 1, ms]], timeoutMs: ms })
  })

  it('is never less than the time for small batches', () => {
    const { rule } = ruleOf({}, { timeoutMs: 10_000, longestMs: 5_000 })
    expect(rule.timeoutMsFor(1024 ** 3)).toBe(10_000)
  })
})
