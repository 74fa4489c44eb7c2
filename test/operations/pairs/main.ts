/**
 * `npm run operations:pairs -- [--pairs 200] [--seed N] [--at-once M] [--redis-path PATH] [--keep-going] [--only N,N]`: two operators at once, pair
 * after pair, on a cluster that a queue and an application of somebody else use. Nothing may be lost, and who is refused has to be told why.
 */
import { parseArgs } from 'node:util'
import { choosePair } from './choose.js'
import { House, type PairResult, type RoundResult } from './house.js'
import { outcomeOf } from './refusals.js'
import { Summary } from './summary.js'

const { values: flags } = parseArgs({
  options: {
    pairs: { type: 'string', default: '200' },
    seed: { type: 'string', default: '1' },
    'at-once': { type: 'string', default: '1' },
    /** Pairs until all tasks and keys are accounted for; and accounts until a new cluster is taken. */
    'per-account': { type: 'string', default: '10' },
    'per-cluster': { type: 'string', default: '4' },
    only: { type: 'string' },
    'redis-path': { type: 'string' },
    'keep-going': { type: 'boolean', default: false },
  },
})
const say = (text: string) => void process.stdout.write(`${text}\n`)
const seed = Number(flags.seed)
const numbers = flags.only?.split(',').map(Number) ?? range(Number(flags.pairs))
const waiting = numbers.map((number) => choosePair(seed, number))
const summary = new Summary()
const open = new Set<House>()
let isEnding = false

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i + 1)
}

let opening: Promise<unknown> = Promise.resolve()

/** One at a time: each starts more than a dozen processes. */
function openNext(): Promise<House> {
  const number = waiting[0]?.number ?? 0
  const next = opening.then(() => House.open({ seed: seed + number, redisPath: flags['redis-path'] }))
  opening = next.catch(() => {})
  return next
}

/** One cluster after the other, until no pair is left. */
async function houses(): Promise<void> {
  while (waiting.length > 0 && !isEnding) {
    const house = await openNext()
    open.add(house)
    try {
      if (!isEnding) await roundsIn(house)
    } finally {
      open.delete(house)
      await house.end()
    }
  }
}

async function roundsIn(house: House): Promise<void> {
  for (let rounds = 0; rounds < Number(flags['per-cluster']) && waiting.length > 0 && !isEnding; rounds++) {
    const pairs = waiting.splice(0, Number(flags['per-account']))
    const round = await house.round(pairs, (pair) => {
      say(lineOf(pair))
      summary.pair(pair)
    })
    say(accountOf(round))
    summary.round(round)
    const isFaulty = round.faults.length > 0 || round.pairs.some(({ faults }) => faults.length > 0)
    if (!isFaulty && rounds + 1 < Number(flags['per-cluster']) && waiting.length > 0) continue
    summary.cluster(round)
    if (!isFaulty) return
    // What follows would be told of a cluster that is broken already.
    waiting.unshift(...pairs.slice(round.pairs.length))
    isEnding ||= !flags['keep-going']
    for (const each of round.faults) say(`    ✗ ${each}`)
    if (round.faults.length > 0)
      for (const { story } of round.pairs) for (const each of story) say(`      ${each}`)
    say(`    logs, tables of nodes and ledgers are kept in ${await house.keep()}`)
    return
  }
}

function lineOf({ pair, endings, mended, faults, story, ms }: PairResult): string {
  const two = pair.choices.map((choice, i) => {
    const ending = endings[i]
    if (!ending) return choice.operation
    const said = ending.end === 'failed' ? ` (${ending.message.split('\n')[0]?.slice(0, 110)})` : ''
    return `${choice.operation} ${outcomeOf(ending)}${said}`
  })
  const mark = faults.length === 0 ? '✓' : '✗'
  const fixed = mended.length === 0 ? '' : `; mended: ${mended.length}`
  const line = `${mark} ${pair.number} ${two.join(' | ')}${fixed}; ${(ms / 1_000).toFixed(1)} s`
  if (faults.length === 0) return line
  return [line, ...faults.map((each) => `    ✗ ${each}`), ...story.map((each) => `      ${each}`)].join('\n')
}

function accountOf({ tasks, foreign, faults }: RoundResult): string {
  return (
    `${faults.length === 0 ? '✓' : '✗'} account: tasks ${tasks.acknowledged} acknowledged, ${tasks.lost} lost, ${tasks.repeated} run again, ` +
    `${tasks.rejected} rejected; keys of others: ${foreign.acknowledged} writes acknowledged, ${foreign.unsure} unsure, ${foreign.lost.length} lost`
  )
}

// The clients end with us; the servers would not.
/** The run itself failed, not what it looks at; the others go on. */
function onBroken(error: Error): void {
  say(`✗ ${error.stack}`)
  summary.broke(error)
}

for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => {
    isEnding = true
    for (const house of open) house.interrupt()
  })

const startedMs = performance.now()
say(`seed ${seed}, ${waiting.length} pairs`)
await Promise.all(Array.from({ length: Number(flags['at-once']) }, () => houses().catch(onBroken)))
say('')
say(summary.text())
say(`${summary.pairs} pairs in ${Math.round((performance.now() - startedMs) / 1_000)} s`)
process.exitCode = summary.isClean && summary.pairs === numbers.length ? 0 : 1
