/** `npm run chaos`: see scripts/chaos.mjs. */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import Table from 'cli-table3'
import type { Reason } from '../../../src/ledger/index.js'
import { ownNetwork } from '../../helpers/netns.js'
import type { StormCluster } from './cluster.js'
import { FAULTS, type FaultKind, type FaultName } from './faults.js'
import { localStormCluster } from './local-storm-cluster.js'
import { PROTECTIONS, type Protection } from './messages.js'
import { netnsStormCluster } from './netns-storm-cluster.js'
import { Random } from './random.js'
import { type Blow, type Result, type Round, Storm } from './storm.js'
import { findWithout } from './without.js'

const { values: flags } = parseArgs({
  options: {
    faults: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
    kinds: { type: 'string' },
    without: { type: 'string' },
    replicas: { type: 'string', default: '1' },
    /** Share of the faults that come with a second one. */
    pairs: { type: 'string', default: '0.25' },
    /** Blows until all tasks are accounted for. */
    'per-account': { type: 'string', default: '10' },
    'late-only': { type: 'string' },
    rate: { type: 'string' },
    'node-timeout': { type: 'string', default: '1000' },
    'keep-going': { type: 'boolean', default: false },
    json: { type: 'string' },
  },
})

const say = (line: string) => void process.stdout.write(`${line}\n`)

const ALL = Object.keys(FAULTS) as FaultName[]

function chosenKinds(): FaultName[] {
  const names = flags.kinds?.split(',') ?? ALL
  const unknown = names.filter((name) => !ALL.includes(name as FaultName))
  if (unknown.length > 0)
    throw new Error(`no such fault: ${unknown.join(', ')}; there are: ${ALL.join(', ')}`)
  return names as FaultName[]
}

/** Every kind in turn, in another order each time; some with another one beside it. */
function* sequence(
  kinds: readonly FaultName[],
  count: number,
  pairs: number,
  random: Random,
): Generator<Blow> {
  for (let done = 0; done < count; ) {
    for (const kind of random.shuffle(kinds)) {
      if (done >= count) return
      const others = kinds.filter((other) => canStrikeWith(other, kind))
      const blow = random.next() < pairs && others.length > 0 ? [kind, random.pick(others)] : [kind]
      done += blow.length
      yield blow
    }
  }
}

/** Of three masters only one may be lost at a time; and two of one kind are no pair. */
function canStrikeWith(a: FaultName, b: FaultName): boolean {
  const [one, other]: FaultKind[] = [FAULTS[a], FAULTS[b]]
  if (a === b || (one?.takesMaster && other?.takesMaster)) return false
  return !(one?.strikesAll && other?.takesMaster) && !(other?.strikesAll && one?.takesMaster)
}

function possible(cluster: StormCluster, replicas: number): FaultName[] {
  return chosenKinds().filter((name) => {
    const kind: FaultKind = FAULTS[name]
    if (kind.needsNetwork && !cluster.network) {
      say(`SKIPPED: ${name} NEEDS NETWORK NAMESPACES (root, and ip from iproute2)`)
      return false
    }
    if ((kind.replicas ?? 1) <= replicas) return true
    if (flags.kinds !== undefined) say(`SKIPPED: ${name} NEEDS --replicas ${kind.replicas}`)
    return false
  })
}

async function storm(cluster: StormCluster, seed: number, nodeTimeoutMs: number): Promise<boolean> {
  const kinds = possible(cluster, Number(flags.replicas))
  const rounds: Round[] = []
  const startedMs = performance.now()
  const run = await Storm.start({
    ...{ cluster, nodeTimeoutMs, seed },
    ...(flags.rate === undefined ? {} : { rate: Number(flags.rate) }),
  })
  const perAccount = Number(flags['per-account'])
  let number = 0
  let kept = false
  try {
    const order = sequence(kinds, Number(flags.faults), Number(flags.pairs), new Random(seed))
    for (let blows = take(order, perAccount); blows.length > 0; blows = take(order, perAccount)) {
      const round = await run.round(blows)
      rounds.push(round)
      for (const result of round.results) say(line(++number, result))
      say(account(round))
      if (isClean(round)) continue
      kept = true
      explain(round)
      if (!flags['keep-going']) break
    }
  } finally {
    await run.stop(kept)
    if (kept) say(`The ledgers are kept in ${run.folder}`)
  }
  const seconds = (performance.now() - startedMs) / 1000
  say('')
  say(summary(rounds))
  say(`${number} faults in ${seconds.toFixed(0)} s, ${(seconds / Math.max(1, number)).toFixed(1)} s each`)
  if (flags.json !== undefined) writeFileSync(flags.json, `${JSON.stringify({ seed, rounds }, null, 2)}\n`)
  return rounds.every(isClean)
}

/** Replicas are late, and nothing else happens. */
async function lateOnly(cluster: StormCluster, seed: number, nodeTimeoutMs: number): Promise<boolean> {
  const rate = Number(flags.rate ?? 5_000)
  const run = await Storm.start({ cluster, nodeTimeoutMs, seed, rate, slow: true })
  const rounds: Round[] = []
  let workedMs = 0
  let kept = true
  try {
    const times = await run.lateOnly(Number(flags['late-only']) * 60_000, (round, forMs) => {
      rounds.push(round)
      workedMs += forMs
      const perSecond = (round.findings.acknowledged * 1_000) / forMs
      say(`${account(round)}  ${perSecond.toFixed(0)} tasks/s`)
      if (!isClean(round)) explain(round)
    })
    const perSecond =
      (rounds.reduce((sum, { findings }) => sum + findings.acknowledged, 0) * 1_000) / workedMs
    say('')
    say(totals(rounds))
    say(`${times} times late in ${(workedMs / 1_000).toFixed(0)} s of work, ${perSecond.toFixed(0)} tasks/s`)
    kept = !rounds.every(isClean)
    return !kept
  } finally {
    await run.stop(kept)
    if (kept) say(`The ledgers are kept in ${run.folder}`)
  }
}

function take<T>(from: Generator<T>, count: number): T[] {
  const taken: T[] = []
  while (taken.length < count) {
    const { value, done } = from.next()
    if (done) break
    taken.push(value)
  }
  return taken
}

const isClean = ({ violations, results }: Round) =>
  violations.length === 0 && results.every((result) => result.violations.length === 0)

function line(number: number, { kind, findings, tookMs, violations }: Result): string {
  return [
    String(number).padStart(4),
    kind.padEnd(28),
    `${(tookMs / 1000).toFixed(1).padStart(5)} s`,
    `run again ${String(findings.repeats).padStart(3)} of ${String(findings.inFlight).padStart(4)} in flight`,
    `rejected ${findings.rejected}`,
    `stall ${findings.longestMs.toFixed(0).padStart(4)} ms`,
    violations.length === 0 ? 'ok' : 'NOT OK',
  ].join('  ')
}

function account({ findings, tookMs, violations }: Round): string {
  const taken = findings.repeats.filter(({ reason }) => reason === 'taken back while running').length
  return [
    '    ',
    'account'.padEnd(28),
    `${(tookMs / 1000).toFixed(1).padStart(5)} s`,
    `acknowledged ${findings.acknowledged}`,
    `lost ${findings.lost.length}`,
    `run again ${findings.repeats.length} (taken back while running ${taken})`,
    violations.length === 0 ? 'ok, structure clean' : 'NOT OK',
  ].join('  ')
}

function explain({ violations, results, stories }: Round): void {
  for (const each of violations) say(`      ✗ ${each.what}`)
  for (const { kind, steps, violations: own } of results) {
    for (const each of own) say(`      ✗ ${kind}: ${each.what}`)
    say(`      ${kind}: ${steps.join('; ')}`)
  }
  for (const story of stories) for (const entry of story) say(`        ${JSON.stringify(entry)}`)
}

function summary(rounds: readonly Round[]): string {
  const table = new Table({
    head: ['fault', 'times', 'each', 'run again', 'in flight', 'rejected', 'longest stall'],
    colAligns: ['left', ...Array.from({ length: 6 }, () => 'right' as const)],
    style: { head: [], border: [], compact: true },
  })
  const results = rounds.flatMap((round) => round.results)
  const row = (name: string, of: readonly Result[]) => {
    const sum = (pick: (result: Result) => number) => of.reduce((total, each) => total + pick(each), 0)
    return [
      name,
      of.length,
      `${(sum(({ tookMs }) => tookMs) / 1000 / of.length).toFixed(1)} s`,
      sum(({ findings }) => findings.repeats),
      sum(({ findings }) => findings.inFlight),
      sum(({ findings }) => findings.rejected),
      `${Math.max(0, ...of.map(({ findings }) => findings.longestMs)).toFixed(0)} ms`,
    ]
  }
  for (const kind of ALL) {
    const of = results.filter((result) => result.kind === kind)
    if (of.length > 0) table.push(row(kind, of))
  }
  table.push(row('all', results))
  return [table.toString(), totals(rounds)].join('\n')
}

function totals(rounds: readonly Round[]): string {
  const sum = (pick: (round: Round) => number) => rounds.reduce((total, each) => total + pick(each), 0)
  const because = (wanted: Reason) =>
    sum(({ findings }) => findings.repeats.filter(({ reason }) => reason === wanted).length)
  return (
    `acknowledged ${sum(({ findings }) => findings.acknowledged)}, lost ${sum(({ findings }) => findings.lost.length)}; run again: ` +
    REASONS.map((reason) => `${reason} ${because(reason)}`).join(', ')
  )
}

const REASONS: readonly Reason[] = [
  ...(['worker stopped', 'delivery in flight', 'enqueue in flight'] as const),
  ...(['taken back while running', 'take-back lost with its master', 'unexplained'] as const),
]

async function main(): Promise<number> {
  const seed = Number(flags.seed)
  const nodeTimeoutMs = Number(flags['node-timeout'])
  const { without } = flags
  if (without !== undefined && !PROTECTIONS.includes(without as Protection))
    throw new Error(`--without ${without}: expected one of ${PROTECTIONS.join(', ')}`)
  say(`seed ${seed}, cluster-node-timeout ${nodeTimeoutMs} ms`)
  const replicas = Number(flags.replicas)
  const cluster = await (ownNetwork() ? netnsStormCluster : localStormCluster)(nodeTimeoutMs, replicas)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    // The clients end with us; the servers of a local cluster would not.
    process.once(signal, () => void cluster.dispose().finally(() => process.exit(130)))
  }
  let isUnclean = true
  try {
    if (without === undefined) {
      const run = flags['late-only'] === undefined ? storm : lateOnly
      isUnclean = !(await run(cluster, seed, nodeTimeoutMs))
      return isUnclean ? 1 : 0
    }
    isUnclean = false
    const found = await findWithout(without as Protection, { cluster, seed, nodeTimeoutMs })
    say(found === undefined ? `NOT FOUND: nothing shows that ${without} is off` : `found: ${found}`)
    return found === undefined ? 1 : 0
  } finally {
    const folder = await cluster.dispose(isUnclean)
    if (folder !== undefined) say(`The nodes' files are kept in ${folder}`)
  }
}

process.exitCode = await main()
