import pc from 'picocolors'
import { expect, test } from 'vitest'
import { age } from '../../src/cli/figures.js'
import { renderDepths, renderTasks } from '../../src/cli/queue-report.js'
import { depthsOf } from '../../src/queue/depths.js'
import { mergeNext } from '../../src/queue/peek.js'
import type { PartitionAnswer } from '../../src/queue/surveyor.js'
import { taskView } from '../../src/queue/task-view.js'

const answer = (shard: string, change: Partial<PartitionAnswer> = {}): PartitionAnswer => ({
  shard,
  ready: [1, 2, 3],
  active: 4,
  scheduled: 5,
  dead: 6,
  agesMs: [undefined, 1_000, 5_000],
  overdueMs: 0,
  paused: false,
  consumers: 1,
  counters: new Map([['enqueued', 10]]),
  ...change,
})
const plain = pc.createColors(false)

test('depths add up by shard over all queues, and by queue over all shards; what is silent is counted, not guessed', () => {
  const depths = depthsOf({
    queues: [
      { name: 'q', partitions: [answer('b'), answer('a', { consumers: 3 }), undefined] },
      { name: 'r', partitions: [answer('a', { paused: true, agesMs: [undefined, undefined, undefined] })] },
    ],
    error: undefined,
  })
  expect(depths.shards).toEqual([
    { shard: 'a', ready: { high: 2, medium: 4, low: 6 }, active: 8, scheduled: 10, dead: 12 },
    { shard: 'b', ready: { high: 1, medium: 2, low: 3 }, active: 4, scheduled: 5, dead: 6 },
  ])
  expect(depths.queues[0]).toEqual({
    name: 'q',
    ready: { high: 2, medium: 4, low: 6 },
    active: 8,
    scheduled: 10,
    dead: 12,
    paused: false,
    oldestReadyMs: 5_000,
    partitions: 3,
    silent: 1,
    consumers: 3,
    counters: { enqueued: 20 },
  })
  expect(depths.queues[1]).toMatchObject({ paused: true, oldestReadyMs: null, silent: 0 })
  const text = renderDepths(depths, plain).join('\n')
  expect(text).toContain('1 of 3 partitions silent')
  expect(text).toContain('paused')
})

test('what could not be read is said; no queues is not an error', () => {
  const nothing = { shards: [], queues: [], silent: [], unread: [] }
  expect(renderDepths({ ...nothing, error: null }, plain)).toEqual(['no queues'])
  expect(renderDepths({ ...nothing, error: 'no answer', unread: ['q'] }, plain)).toEqual([
    'the queues could not be read in full: no answer',
    'known by name alone: q',
  ])
})

test('of many queues the foremost are shown, in their order, and how many more there are', () => {
  const queues = Array.from({ length: 250 }, (_, n) => ({
    name: `q${String(n).padStart(3, '0')}`,
    partitions: [answer('a', { dead: n === 200 ? 1 : 0, ready: [0, n, 0] })],
  }))
  const depths = depthsOf({ queues, error: undefined })
  const text = renderDepths(depths, plain, { most: 3 }).join('\n')
  expect([...text.matchAll(/│ (q\d+) /g)].map(([, name]) => name)).toEqual(['q200', 'q248', 'q249'])
  expect(text).toContain('and 247 queues more, with less to do; all of them: shardq queue list')
  expect(renderDepths(depths, plain).join('\n')).not.toContain('queues more')
})

test('the next of all partitions: by priority, then in turn', () => {
  const next = (level: number, id: string) => ({ id, record: `${level}4|["t",1,null]`, attemptsUsed: 0 })
  const merged = mergeNext(
    [
      [next(0, 'a1'), next(1, 'a2'), next(1, 'a3')],
      [next(1, 'b1'), next(2, 'b2')],
    ],
    4,
  )
  expect(merged.map(({ id }) => id)).toEqual(['a1', 'a2', 'b1', 'a3'])
})

test('data cannot move the cursor, and an age is told in the unit that fits', () => {
  const task = taskView('1', 'ready', `14|["t",0,${JSON.stringify('a\u001b[2J\nb')}]`, 0)
  expect(renderTasks([task], 5_000).join('\n')).toContain('│ a\\x1b[2J b │')
  expect([0, 99_000, 600_000, 7_200_000, 172_800_000].map(age)).toEqual([
    '0.0 s',
    '99.0 s',
    '10 min',
    '2 h',
    '2 d',
  ])
})
