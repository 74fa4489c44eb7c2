/**
 * `npm run bench -- [--part peers|single|growth|depth|memory] [--rounds 5] [--quick] [--only kind,...]
 * [--contenders name,...] [--beside DIR] [--out FILE]`: on local servers of its own, contenders in turn, each reading in a
 * process of its own. `--beside` adds the shardq of another checkout, which has been built there, for comparison. Prints
 * tables; with --out, writes all readings as JSON (`ResultFile`).
 */
import { parseArgs } from 'node:util'
import { type BenchRow, bench, renderBench, titleOf } from '../../src/bench/index.js'
import { withLink } from '../../src/cluster/link.js'
import { startServers } from './own-servers.js'
import { choose, isPartName, PART_NAMES, type Part, partsOf, withCheckout } from './parts.js'
import { type PartResult, thisMachine, writeResults } from './result-file.js'

const { values: flags } = parseArgs({
  options: {
    part: { type: 'string', default: 'peers' },
    rounds: { type: 'string', default: '5' },
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    contenders: { type: 'string' },
    beside: { type: 'string' },
    out: { type: 'string' },
  },
})
if (!isPartName(flags.part))
  throw new Error(`--part: expected one of ${PART_NAMES.join(', ')}, got ${flags.part}`)
const rounds = Number(flags.rounds)
if (!Number.isInteger(rounds) || rounds < 1)
  throw new Error(`--rounds: expected 1, 2, ..., got ${flags.rounds}`)
const tasks = flags.quick ? 60_000 : 200_000
const parts = choose(withCheckout(partsOf(flags.part, tasks), flags.beside), {
  kinds: flags.only?.split(','),
  // Some names have a comma in them, with a space after it.
  contenders: flags.contenders?.split(/,(?! )/),
})
if (parts.length === 0) throw new Error('--only and --contenders leave nothing to measure')

const interrupt = new AbortController()
process.once('SIGINT', () => interrupt.abort()).once('SIGTERM', () => interrupt.abort())

async function run({
  title,
  masters,
  replicas = 1,
  contenders,
  measures,
  figures,
}: Part): Promise<BenchRow[]> {
  const servers = await startServers(masters, replicas, interrupt.signal)
  try {
    const rows = await bench({
      connection: servers.connection,
      contenders,
      measures,
      rounds,
      signal: interrupt.signal,
      async clean() {
        for (const master of servers.masters)
          await withLink(master, { timeoutMs: 30_000 }, (link) => link.text('FLUSHALL', 'SYNC'))
      },
      onReading: ({ measure, contender, round, reading }) =>
        console.log(
          `${titleOf(measure)}: ${contender}, round ${round + 1}: ${Math.round(reading.perSecond).toLocaleString('en')}/s`,
        ),
    })
    console.log(`\n${title}\n${renderBench(rows, process.stdout.isTTY, figures)}\n`)
    return rows
  } finally {
    await servers.stop()
  }
}

const results: PartResult[] = []
for (const part of parts) {
  const { title, masters } = part
  results.push({ title, masters, rows: await run(part) })
}
const machine = await thisMachine()
console.log(`${machine.cores} cores (${machine.cpu}), Node ${machine.node}, Redis ${machine.redis}`)
if (flags.out) await writeResults(flags.out, { machine, parts: results })
