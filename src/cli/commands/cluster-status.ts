import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { createLogUpdate } from 'log-update'
import type { Colors } from 'picocolors/types.js'
import { type Address, type ClusterPicture, inspect, Observer, pictureOf } from '../../cluster/index.js'
import { type Depths, depthsOf } from '../../queue/depths.js'
import { wholeNumber } from '../arguments.js'
import { type CommonOptions, runAction, withCommonOptions } from '../command.js'
import { fitToScreen } from '../cut.js'
import { findNodes, seedsOf } from '../find-nodes.js'
import { dataDirOption, nodeOption } from '../node-options.js'
import type { Output } from '../output.js'
import { MOST_IN_PICTURE, renderDepths } from '../queue-report.js'
import { renderStatus } from '../status-report.js'
import { withSurveyor } from '../survey.js'

interface StatusFlags extends CommonOptions {
  readonly node?: Address
  readonly dataDir?: string
  readonly watch?: number | true
  readonly timeoutMs?: number
  readonly queues: boolean
}

/** What is shown: the cluster, and the queues on it where they were asked for. */
type Shown = ClusterPicture & { readonly queues?: Depths }

const DEFAULT_WATCH_S = 2

export function registerClusterStatus(cluster: Command): void {
  withCommonOptions(
    cluster
      .command('status')
      .summary('show masters with their replicas, slots, memory, lag, load, and where views differ')
      .description(
        'Asks every node of a cluster and shows what they say: masters with their replicas beneath, slots, memory, lag, ' +
          'clients, load, links. A node that does not answer costs the time-out and is shown as down.',
      ),
  )
    .addOption(nodeOption('take this node’s view, and find the others by it'))
    .addOption(dataDirOption())
    .option('--watch [seconds]', `again every so many seconds (default: ${DEFAULT_WATCH_S})`, wholeNumber(1))
    .option('--no-queues', 'leave out how many tasks the queues have')
    .option('--timeout-ms <ms>', 'longest wait for a node (default: 1000)', wholeNumber(10))
    .addHelpText(
      'after',
      `
lag: bytes of the master's log that the replica has not acknowledged, and seconds since it acknowledged anything.
With --watch a terminal is drawn over in place, anything else gets one picture after the other, and with --json one
document per line. Ctrl-C ends it.

Examples:
  $ shardq cluster status
  $ shardq cluster status --watch
  $ shardq cluster status --node 10.0.0.5:7000
  $ shardq cluster status --json | jq .state
  $ shardq cluster status --json --watch 10 | jq -c '[.atMs, .state, .answered]'`,
    )
    .action((flags: StatusFlags) => runAction(flags, clusterStatus))
}

async function clusterStatus(flags: StatusFlags, output: Output, signal: AbortSignal): Promise<void> {
  const connection = await findNodes(flags)
  const { seeds, access } = seedsOf(connection)
  const { timeoutMs = 1_000, watch } = flags
  const observer = new Observer(seeds, { ...access, timeoutMs })
  const look = async () => {
    // By its id, since the cluster may call it otherwise than we do.
    const named = flags.node && (await inspect(flags.node, { ...access, timeoutMs })).nodes
    return pictureOf(await observer.observe(), named?.find(({ myself }) => myself)?.id)
  }
  const run = async (look: () => Promise<Shown>) => {
    if (watch !== undefined) {
      await watchStatus(look, { seconds: watch === true ? DEFAULT_WATCH_S : watch, output, signal })
      return
    }
    const shown = await look()
    output.document(shown)
    output.lines(render(shown, output.colors))
  }
  try {
    if (!flags.queues) return await run(look)
    await withSurveyor(connection, timeoutMs, (surveyor) =>
      run(async () => {
        const [picture, survey] = await Promise.all([look(), surveyor.survey()])
        return { ...picture, queues: depthsOf(survey) }
      }),
    )
  } finally {
    observer.close()
  }
}

function render(shown: Shown, colors: Colors): string[] {
  const { queues } = shown
  return [
    ...renderStatus(shown, colors),
    ...(queues ? renderDepths(queues, colors, { most: MOST_IN_PICTURE }) : []),
  ]
}

interface Watch {
  readonly seconds: number
  readonly output: Output
  readonly signal: AbortSignal
}

/** Until the signal. A cluster that cannot be seen for a while is what one watches for, and does not end it. */
async function watchStatus(look: () => Promise<Shown>, { seconds, output, signal }: Watch): Promise<void> {
  const screen = output.json || process.stdout.isTTY !== true ? undefined : createLogUpdate(process.stdout)
  const stopped = new Promise<'stopped'>((resolve) =>
    signal.addEventListener('abort', () => resolve('stopped'), { once: true }),
  )
  try {
    while (!signal.aborted) {
      const found = await Promise.race([look().catch((error: Error) => error), stopped])
      if (found === 'stopped') break
      show(found, output, screen, seconds)
      await sleep(seconds * 1_000, undefined, { signal }).catch(() => {})
    }
  } finally {
    screen?.done()
  }
}

function show(
  found: Shown | Error,
  output: Output,
  screen: ReturnType<typeof createLogUpdate> | undefined,
  seconds: number,
): void {
  const failed = found instanceof Error
  output.record(failed ? { atMs: Date.now(), error: { name: found.name, message: found.message } } : found)
  const lines = failed ? [output.colors.red(`✗ ${found.message}`)] : render(found, output.colors)
  if (!screen) {
    output.lines([...lines, ''])
    return
  }
  const { columns = 80, rows = 24 } = process.stdout
  const time = new Date().toLocaleTimeString('en-GB')
  const foot = output.colors.dim(`${time}, every ${seconds} s; Ctrl-C ends it`)
  screen(
    fitToScreen(
      [...lines, foot].map((line) => output.shown(line)),
      columns,
      rows,
    ),
  )
}
