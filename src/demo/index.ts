import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { freePorts, InterruptedError, type LocalCluster, startCluster } from '../cluster/index.js'
import { visibleJson } from '../visible.js'
import { removeOnExit } from './last-resort.js'
import { checkDemoOptions, type DemoOptions } from './options.js'
import { type DemoReport, renderReport } from './report.js'
import { createScreen, type Screen } from './screen.js'
import { searchGrid } from './search.js'

export type { DemoOptions } from './options.js'

const NODES = 6

/**
 * The demo: a cluster of its own, a grid search of trading strategies as the work, and half way a master that is
 * killed. Everything that it started is gone when it returns or throws.
 * @returns the exit code: 0 when the ledger balances and the structure is clean, else 1
 * @throws InvalidOptionError for an option out of range, InterruptedError when the signal fires, and whatever
 *   `startCluster` throws
 */
export async function runDemo(options: DemoOptions = {}): Promise<number> {
  checkDemoOptions(options)
  const kind = options.json ? 'silent' : process.stdout.isTTY ? 'live' : 'lines'
  const screen = createScreen(kind, process.stdout)
  const report = await withCluster(options, screen, (cluster) =>
    searchGrid(cluster, options, screen),
  ).finally(() => screen.end())
  if (options.json) process.stdout.write(`${visibleJson(JSON.stringify(report, null, 2))}\n`)
  else screen.lines(renderReport(report, screen.colors))
  return report.ledger.balanced && report.structure.length === 0 ? 0 : 1
}

/** Runs the work on a new cluster in a temporary folder, and removes both, whatever happens. */
async function withCluster(
  { redisPath, basePort, signal }: DemoOptions,
  screen: Screen,
  work: (cluster: LocalCluster) => Promise<DemoReport>,
): Promise<DemoReport> {
  const folder = await mkdtemp(join(tmpdir(), 'shardq-demo-'))
  const dataDir = join(folder, 'cluster')
  const keepOnExit = removeOnExit(dataDir, folder)
  let cluster: LocalCluster | undefined
  try {
    screen.note('Starting a Redis Cluster of its own: 3 masters, 3 replicas')
    cluster = await startCluster({
      dataDir,
      // Not 7000 by default: whoever has a cluster there keeps it.
      ...(basePort === undefined ? { ports: (await freePorts(NODES)).sort((a, b) => a - b) } : { basePort }),
      ...(redisPath === undefined ? {} : { redisPath }),
      ...(signal === undefined ? {} : { signal }),
      onStep: (step) => {
        if (step.step === 'install') screen.note(`No Redis server here; installing one: ${step.command}`)
        if (step.step === 'server') screen.note(`${step.flavour} ${step.version}, ${step.path}`)
        if (step.step === 'ready') screen.note(`Ready after ${step.ms} ms`)
      },
    })
    return await work(cluster)
  } catch (error) {
    if (!signal?.aborted || error instanceof InterruptedError) throw error
    throw new InterruptedError('the demo', { cause: error })
  } finally {
    await cluster?.stop({ remove: true })
    await rm(folder, { recursive: true, force: true })
    keepOnExit()
  }
}
