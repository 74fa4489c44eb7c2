import type { Colors } from 'picocolors/types.js'
import type { DrillReport, DrillStep } from '../drill/index.js'
import { PlainTable } from '../plain-table.js'

/** `+7.402 s` since the strike; before it, nothing. */
export function renderStep({ text, sinceStrikeMs }: DrillStep): string {
  const time = sinceStrikeMs === null ? '' : `+${(sinceStrikeMs / 1000).toFixed(3)} s`
  return `  ${time.padStart(10)}  ${text}`
}

export function renderDrill(report: DrillReport, colors: Colors): string[] {
  const { struck, cluster, complaints, notes } = report
  const { masterAfter } = struck
  const where = masterAfter === null ? 'the shard has no master' : `its master is now ${masterAfter}`
  const notesOrNone = (title: string, lines: readonly string[]) =>
    lines.length === 0 ? [] : ['', colors.bold(title), ...lines.map((line) => `  ${line}`)]
  return [
    '',
    colors.bold(`${report.kind}: shard of ${struck.master}, ${struck.slots} slots; ${where}`),
    colors.dim(
      `${cluster.nodes} nodes, ${cluster.masters} masters, cluster-node-timeout ${cluster.nodeTimeoutMs} ms; ` +
        `${report.load.rate} tasks per second`,
    ),
    ...times(report),
    ...enqueues(report),
    ...shards(report, colors),
    ...accounts(report),
    ...verdict(report, colors),
    ...notesOrNone('Notes', notes),
    ...notesOrNone('Heard in the background from queue and worker', complaints),
    '',
    report.passed ? colors.green(`✅ PASS: ${report.kind}`) : colors.red(`❌ FAIL: ${report.kind}`),
  ]
}

function times({ failover, byServerLogs, client }: DrillReport): string[] {
  const logs = byServerLogs !== null
  const table = rightTable(['from the strike', 'measured', ...(logs ? ["servers' logs"] : [])])
  const row = (name: string, seen: number | null, logged?: number | null) =>
    table.push([name, seconds(seen), ...(logs ? [logged === undefined ? '' : seconds(logged)] : [])])
  row('detection: until the master is flagged FAIL', failover.detectionMs, byServerLogs?.detectionMs)
  row('election: from FAIL until a replica is master', failover.electionMs, byServerLogs?.electionMs)
  if (logs) row('  of it the voting alone', null, byServerLogs.votingMs)
  row('promotion: both together', failover.promotionMs, byServerLogs?.promotionMs)
  row('client: until a task that waited there runs', client.runsAgainMs)
  row('  of it after the promotion', client.afterPromotionMs)
  row('until a task with a key is acknowledged there', client.keyedAcknowledgedMs)
  row('until the cluster is whole again', client.wholeMs)
  return table.lines()
}

function enqueues({ stall, errorsOnOtherShards }: DrillReport): string[] {
  const table = rightTable(['enqueues until it is whole again', 'without a key', 'with a key'])
  table.push(
    ['longest', ms(stall.longestMs), ms(stall.longestWithKeyMs)],
    ['limit', ms(stall.limitMs), ''],
    ['99 of 100 take at most', ms(stall.p99Ms), ''],
    ['rejected', String(stall.rejected), String(stall.rejectedWithKey)],
    ['longest time with none acknowledged', ms(stall.noneAcknowledgedMs), ''],
    ['errors that concern other shards', String(errorsOnOtherShards), ''],
  )
  return table.lines()
}

function shards({ shards: rates }: DrillReport, colors: Colors): string[] {
  const table = rightTable(['acknowledged per second', 'before', 'during', ''])
  for (const { master, struck, beforePerS, duringPerS } of rates) {
    const share = beforePerS === 0 ? '' : `${Math.round((100 * duringPerS) / beforePerS)} %`
    const name = struck ? colors.yellow(`${master} (struck)`) : master
    table.push([name, String(beforePerS), String(duringPerS), share])
  }
  return table.lines()
}

function accounts({ load, ledger, structure }: DrillReport): string[] {
  const table = rightTable(['the account of every task', ''])
  const reasons = Object.entries(ledger.deliveredTwiceBy).map(([reason, count]) => `${reason}: ${count}`)
  table.push(
    ['enqueued', String(load.enqueued)],
    ['acknowledged', String(load.acknowledged)],
    ['lost', String(ledger.lost.length)],
    ['delivered twice', [String(ledger.deliveredTwice), ...reasons].join(', ')],
    ['under way when it was struck', String(ledger.inFlight)],
    ...(structure === null
      ? []
      : [['structure', structure.length === 0 ? 'clean' : `${structure.length} faults`]]),
  )
  return table.lines()
}

function verdict({ checks }: DrillReport, colors: Colors): string[] {
  const table = rightTable(['what has to hold', 'found', ''])
  for (const { check, passed, found } of checks) {
    table.push([check, found, passed ? colors.green('✓') : colors.red('✗')])
  }
  return table.lines()
}

/** All columns but the first hold figures. */
const rightTable = (head: string[]) => new PlainTable(head, { right: head.map((_, index) => index).slice(1) })

const ms = (value: number) => `${value} ms`
const seconds = (value: number | null) =>
  value === null ? '-' : value < 100 ? ms(value) : `${(value / 1000).toFixed(2)} s`
