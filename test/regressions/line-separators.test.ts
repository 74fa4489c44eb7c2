import { describe, expect, inject, it } from 'vitest'
import { queueOfKey } from '../../src/cluster/balance/contents.js'
import { redact } from '../../src/config/faults.js'
import { parseLogLine } from '../../src/drill/server-log.js'
import { queueKey } from '../../src/keys/keys.js'
import { makePartitions } from '../../src/keys/partitions.js'
import { parseCheckpoints } from '../../src/scripts/checkpoint.js'
import { makeHarness } from '../helpers/behaviour/harness.js'

const harness = makeHarness(() => ({ mode: 'single', url: inject('single').url }))

/** To a `.` of a regular expression these end a line, and JSON writes them as they are, but for the last one. */
const ENDS = ['\u2028', '\u2029', '\r'] as const

describe.each(ENDS)('text with %j in it', (end) => {
  it('is kept in the steps and the data of checkpoints', async () => {
    const queue = await harness.queue({ partitions: 1 })
    const id = await queue.enqueue('note', 1)
    const [delivery] = await queue.dequeue()
    const step = `page${end}1 "2\\" 3`
    await delivery?.checkpoint(step, { text: `a line${end}the next` })
    await delivery?.checkpoint('other', end)
    const expected = [
      { step, data: { text: `a line${end}the next` } },
      { step: 'other', data: end },
    ]
    expect(await delivery?.checkpoints()).toMatchObject(expected)
    expect(await queue.checkpoints(id)).toMatchObject(expected)
    await delivery?.complete()
  })

  it('may stand in the cursor of a page of dead letters', async () => {
    const queue = await harness.queue({ partitions: 1 })
    expect(await queue.deadLetters.list({ cursor: `1:a${end}b` })).toEqual({ items: [], cursor: null })
  })

  it('is a part of a queue’s name, where keys are told apart by it', () => {
    const name = `a${end}b`
    const [partition] = makePartitions(name, 1)
    expect(queueOfKey(partition?.keys.tasks ?? '')).toBe(name)
    expect(queueOfKey(queueKey(name))).toBeUndefined()
  })

  it('is hidden in the password of an address', () => {
    expect(redact(`redis://me:one${end}two@host:1?three${end}four`)).toBe('redis://***@host:1?***')
  })

  it('does not hide a line of a server’s log', () => {
    expect(parseLogLine(`1:M 05 Mar 2024 10:11:12.345 * a${end}b`)?.text).toBe(`a${end}b`)
  })
})

it('a checkpoint that is none is not taken for one', () => {
  expect(parseCheckpoints('')).toEqual([])
  for (const line of ['"a" 1', 'a 1 {}', '"a" x {}'])
    expect(() => parseCheckpoints(line)).toThrow('checkpoint')
})
