/** `npm run chaos`: see scripts/chaos.mjs. */
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import Table from 'cli-table3'
import { ownNetwork } from '../../helpers/netns.js'
import type { StormCluster } from './cluster.js'
import { FAULTS, type FaultKind, type FaultName } from './faults.js'
import { localStormCluster } from './local-storm-cluster.js'
import { PROTECTIONS, type Protection } from './messages.js'
import { netnsStormCluster } from './netns-storm-cluster.js'
import { Random } from './random.js'
import { type Result, Storm } from './storm.js'
import { findWithout } from './without.js'

const { values: flags } = parseArgs({
  options: {
    faults: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
    kinds: { type: 'string' },
    without: { type: 'string' },
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

/** Every kind in turn, in another order each time. */
function* sequence(kinds: readonly FaultName[], count: number, random: Random): Generator<FaultName> {
  for (let done = 0; done < count; ) {
    for (const kind of random.shuffle(kinds)) {
      if (done++ >= count) return
      yield kind
    }
  }
}

async function storm(cluster: StormCluster, seed: number, nodeTimeoutMs: number): Promise<boolean> {
  const kinds = chosenKinds().filter((name) => {
    const kind: FaultKind = FAULTS[name]
    if (!kind.needsNetwork || cluster.network) return true
    say(`SKIPPED: ${name} NEEDS NETWORK NAMESPACES (root, and ip from iproute2)`)
    return false
  })
  const results: Result[] = []
  const run = await Storm.start({ cluster, nodeTimeoutMs, seed })
  let kept = false
  try {
    const order = sequence(kinds, Number(flags.faults), new Random(seed))
    for (const kind of order) {
      const result = await run.fault(kind)
      results.push(result)
      say(line(results.length, result))
      if (result.violations.length === 0) continue
      kept = true
      explain(result)
      if (!flags['keep-going']) break
    }
  } finally {
    await run.stop(kept)
    if (kept) say(`The ledgers are kept in ${run.folder}`)
  }
  say('')
  say(summary(results))
  if (flags.json !== undefined) writeFileSync(flags.json, `${JSON.stringify({ seed, results }, null, 2)}\n`)
  return results.every((result) => result.violations.length === 0)
}

function line(number: number, { kind, findings, tookMs, violations }: Result): string {
  const [fault] = findings.faults
  return [
    String(number).padStart(4),
    kind.padEnd(28),
    `${(tookMs / 1000).toFixed(1).padStart(5)} s`,
    `acknowledged ${String(findings.acknowledged).padStart(5)}`,
    `lost ${findings.lost.length}`,
    `run again ${String(findings.repeats.length).padStart(3)} of ${String(fault?.inFlight ?? 0).padStart(4)} in flight`,
    `rejected ${findings.rejected}`,
    `stall ${(fault?.longestMs ?? 0).toFixed(0).padStart(4)} ms`,
    violations.length === 0 ? 'ok' : 'NOT OK',
  ].join('  ')
}

function explain({ violations, stories, steps }: Result): void {
  for (const each of violations) say(`      ✗ ${each.what}`)
  say(`      steps: ${steps.join('; ')}`)
  for (const story of stories) for (const entry of story) say(`        ${JSON.stringify(entry)}`)
}

function summary(results: readonly Result[]): string {
  const table = new Table({
    head: [
      'fault',
      'times',
      'acknowledged',
      'lost',
      'run again',
      'in flight',
      'of a dead worker',
      'rejected',
      'longest stall',
    ],
    colAligns: ['left', ...Array.from({ length: 8 }, () => 'right' as const)],
    style: { head: [], border: [], compact: true },
  })
  const row = (name: string, of: readonly Result[]) => {
    const sum = (pick: (result: Result) => number) => of.reduce((total, each) => total + pick(each), 0)
    const because = (test: (reason: string) => boolean) =>
      sum(({ findings }) => findings.repeats.filter(({ reason }) => test(reason)).length)
    const stall = Math.max(0, ...of.map(({ findings }) => findings.faults[0]?.longestMs ?? 0))
    return [
      name,
      of.length,
      sum(({ findings }) => findings.acknowledged),
      sum(({ findings }) => findings.lost.length),
      because((reason) => reason !== 'worker stopped'),
      sum(({ findings }) => findings.faults[0]?.inFlight ?? 0),
      because((reason) => reason === 'worker stopped'),
      sum(({ findings }) => findings.rejected),
      `${stall.toFixed(0)} ms`,
    ]
  }
  for (const kind of ALL) {
    const of = results.filter((result) => result.kind === kind)
    if (of.length > 0) table.push(row(kind, of))
  }
  table.push(row('all', results))
  return table.toString()
}

async function main(): Promise<number> {
  const seed = Number(flags.seed)
  const nodeTimeoutMs = Number(flags['node-timeout'])
  const { without } = flags
  if (without !== undefined && !PROTECTIONS.includes(without as Protection))
    throw new Error(`--without ${without}: expected one of ${PROTECTIONS.join(', ')}`)
  say(`seed ${seed}, cluster-node-timeout ${nodeTimeoutMs} ms`)
  const cluster = await (ownNetwork() ? netnsStormCluster : localStormCluster)(nodeTimeoutMs)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    // The clients end with us; the servers of a local cluster would not.
    process.once(signal, () => void cluster.dispose().finally(() => process.exit(130)))
  }
  try {
    if (without === undefined) return (await storm(cluster, seed, nodeTimeoutMs)) ? 0 : 1
    const found = await findWithout(without as Protection, { cluster, seed, nodeTimeoutMs })
    say(found === undefined ? `NOT FOUND: nothing shows that ${without} is off` : `found: ${found}`)
    return found === undefined ? 1 : 0
  } finally {
    await cluster.dispose()
  }
}

process.exitCode = await main()
