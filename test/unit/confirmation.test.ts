import { describe, expect, it } from 'vitest'
import { type ConfirmationOptions, confirmationFor } from '../../src/connection/confirmation.js'
import { Node } from '../../src/connection/node.js'

const nodeOf = (port: number) => new Node({ host: '127.0.0.1', port }, options(), () => {})
const options = () => ({ username: undefined, password: undefined, tls: undefined, connectTimeoutMs: 1 })
const master = nodeOf(7000)
const some = [7001, 7002, 7003].map(nodeOf)

function ruleOf(
  replicas: { counted?: number; syncing?: number; foreign?: number },
  wanted: Partial<ConfirmationOptions> = {},
) {
  const view = { counted: 1, syncing: 0, foreign: 0, ...replicas }
  const states = {
    of: () => ({
      counted: some.slice(0, view.counted),
      syncing: some.slice(0, view.syncing),
      foreign: view.foreign,
    }),
    look: async () => {},
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
    [{ counted: 2, foreign: 1 }, 'all', 1, 3, 3],
    [{ counted: 0, foreign: 1 }, 'all', 1, 2, 0],
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
    expect(rule.ask(master).command).toEqual(['WAIT', required, 100])
  })

  it('is the larger of the numbers when the call is sent and when the reply comes', () => {
    const { rule, view } = ruleOf({ counted: 1 })
    const question = rule.ask(master)
    expect(question.satisfiedBy(1)).toBe(true)
    view.counted = 2
    expect(question.satisfiedBy(1)).toBe(false)
    expect(question.satisfiedBy(2)).toBe(true)
    const later = rule.ask(master)
    view.counted = 1
    expect(later.satisfiedBy(1)).toBe(false)
  })

  it('holds for the disks of replicas, too', () => {
    const { rule } = ruleOf({ counted: 2 }, { durability: 'fsynced' })
    const { command, satisfiedBy } = rule.ask(master)
    expect(command).toEqual(['WAITAOF', 1, 2, 100])
    expect([[1, 2], [1, 1], [0, 2], 2].map(satisfiedBy)).toEqual([true, false, false, false])
  })

  it.each([
    ['replicated', 'all', ['WAIT', 1, 100]],
    ['replicated', 2, ['WAIT', 2, 100]],
    ['fsynced', 'all', ['WAITAOF', 1, 0, 100]],
  ] as const)('on a single server: %s, %s', (durability, confirm, command) => {
    const { rule } = ruleOf({ counted: 0 }, { mode: 'single', durability, confirm })
    expect(rule.ask(master).command).toEqual(command)
    expect(rule.past().ask(master).command).toEqual(command)
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
    expect(rule.ask(master, bytes)).toMatchObject({ command: ['WAIT', 1, ms], timeoutMs: ms })
  })

  it('is never less than the time for small batches', () => {
    const { rule } = ruleOf({}, { timeoutMs: 10_000, longestMs: 5_000 })
    expect(rule.timeoutMsFor(1024 ** 3)).toBe(10_000)
  })
})
