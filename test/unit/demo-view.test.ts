import pc from 'picocolors'
import { describe, expect, it } from 'vitest'
import { Ledger } from '../../src/demo/ledger.js'
import { type DemoReport, Leaderboard, renderReport } from '../../src/demo/report.js'
import { type Progress, Rate, renderLine, renderLive, Trace } from '../../src/demo/view.js'

const plain = pc.createColors(false)
const metrics = { totalReturn: 1.5, cagr: 0.05, maxDrawdown: 0.2, sharpe: 0.7, trades: 12 }

const progress: Progress = {
  elapsedMs: 12_340,
  tasks: 20_000,
  acknowledged: 10_250,
  completed: 10_000,
  tasksPerSecond: 812,
  producer: [400, 400, 0, 100, 405, 395],
  longestEnqueueMs: 3.14,
  shards: [
    { master: '127.0.0.1:7000', state: 'down', remark: 'down' },
    { master: '127.0.0.1:7001', state: 'ok', remark: 'ok, 4 partitions, 1 replica' },
  ],
}

describe('the view', () => {
  it('is a block on a terminal', () => {
    expect(renderLive(progress, plain).join('\n')).toBe(`
  ███████████████░░░░░░░░░░░░░░░ 10,000 of 20,000 back-tests   812/s
  acknowledged 10,250   longest enqueue 3.1 ms   12.3 s
  producer ██ ▂██ 800/s

  ● 127.0.0.1:7000   down
  ● 127.0.0.1:7001   ok, 4 partitions, 1 replica`)
  })

  it('is one line in a log', () => {
    expect(renderLine(progress)).toBe(
      ' 12.3 s  completed 10,000 of 20,000  acknowledged 10,250, 800/s  812/s  longest enqueue 3.1 ms  ' +
        '7000 down, 7001 ok',
    )
  })

  it('follows the producer in half seconds; one in which nothing happened shows', () => {
    const trace = new Trace()
    expect(trace.sample(0, 0)).toEqual([])
    expect(trace.sample(400, 300)).toEqual([])
    expect(trace.sample(500, 400)).toEqual([400])
    expect(trace.sample(1_600, 450)).toEqual([400, 50, 0])
  })

  it('has a rate over the last moments only', () => {
    const rate = new Rate(1_000)
    expect(rate.sample(0, 0)).toBe(0)
    expect(rate.sample(500, 400)).toBe(800)
    expect(rate.sample(1_500, 500)).toBe(100)
  })
})

function report(ledger: Ledger, leftInQueue = 0): DemoReport {
  const summary = ledger.summary(leftInQueue)
  return {
    tasks: 2,
    workers: 2,
    elapsedMs: 25_000,
    period: { from: '2001-03-19', to: '2020-04-17', costPerSide: 0.0005 },
    best: [{ fast: 50, slow: 200, ...metrics }],
    buyAndHold: { ...metrics, sharpe: 0.3, trades: 1 },
    ledger: summary,
    leftInQueue,
    structure: [],
    killed: { master: '127.0.0.1:7000', servedAgainAfterMs: 7_890 },
    complaints: ['connection lost'],
  }
}

describe('the report', () => {
  it('holds strategies against buy-and-hold, and the ledger', () => {
    const ledger = new Ledger()
    ledger.want(0)
    ledger.acknowledge('a', { calledMs: 0, atMs: 5 })
    ledger.complete('a')
    const text = renderReport(report(ledger), plain).join('\n')
    expect(text).toMatch(/50 over 200 days\s+│\s+0\.70 │\s+5\.0% │\s+150\.0% │\s+-20\.0% │\s+12 │/)
    expect(text).toMatch(/buy and hold\s+│\s+0\.30/)
    expect(text).toMatch(/lost\s+│\s+0 │/)
    expect(text).toMatch(/shard of 127\.0\.0\.1:7000 served again after │\s+7\.9 s │/)
    expect(text).toMatch(/structure\s+│\s+clean │/)
    expect(text).toContain('The ledger balances')
    expect(text).not.toContain('connection lost')
  })

  it('names what was lost, and what was complained of', () => {
    const ledger = new Ledger()
    ledger.want(0)
    ledger.acknowledge('gone', { calledMs: 0, atMs: 5 })
    const text = renderReport(report(ledger, 3), plain).join('\n')
    expect(text).toContain('The ledger does not balance. Lost: gone')
    expect(text).toMatch(/left in the queue\s+│\s+3 │/)
    expect(text).toContain('connection lost')
  })
})

describe('the leaderboard', () => {
  it('keeps the best, each pair once', () => {
    const leaders = new Leaderboard(2)
    const run = (fast: number, sharpe: number) =>
      leaders.add({ id: `${fast}`, attempt: 1, fast, slow: 200, metrics: { ...metrics, sharpe } })
    for (const [fast, sharpe] of [
      [5, 0.1],
      [6, 0.5],
      [6, 0.5],
      [7, 0.3],
      [8, 0.2],
    ] as const)
      run(fast, sharpe)
    expect(leaders.best.map(({ fast }) => fast)).toEqual([6, 7])
  })
})
