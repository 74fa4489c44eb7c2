import { resolve } from 'node:path'
import {
  allPorts,
  DEFAULT_DATA_DIR,
  type Manifest,
  nodeDir,
  nodePlaces,
  readManifest,
  removeCluster,
} from './data-dir.js'
import { DataDirError, StopRefusedError } from './errors.js'
import { type NamedHolder, nameHolderOf } from './holder-text.js'
import { notKept } from './kept.js'
import { type NodePlace, type NodeState, probeNode, stopNode } from './node.js'
import { HOST } from './ports.js'

export interface StopOptions {
  /** Default `.shardq/cluster` in the current folder. */
  readonly dataDir?: string
  /** Also remove the nodes' folders and all data in them. Default false: `up` brings it back. */
  readonly remove?: boolean
  readonly onNode?: (node: StoppedNode) => void
}

export interface StoppedNode {
  readonly port: number
  /** Null when there was nothing of ours to stop. */
  readonly pid: number | null
  /** `foreign`: something that does not run in this folder holds the port; it was left alone. */
  readonly outcome: 'stopped' | 'not running' | 'foreign'
  /** Of a foreign one, where it says so: what it is, the data folder of its cluster if it has one, and the command that ends it. */
  readonly holder: NamedHolder | null
}

export interface StopReport {
  readonly dataDir: string
  /** False when the folder holds no cluster; nothing was done then. */
  readonly found: boolean
  readonly removed: boolean
  readonly nodes: readonly StoppedNode[]
}

/**
 * Ends the nodes of the cluster in a data folder, and only those: a process is ours when it answers and works in that folder
 * (`probeNode`), or, when it does not answer, when the pid file names it together with the time at which it started. Returns
 * when the processes are gone; what holds a port and is not ours is left alone, and is in the report as `foreign`.
 * @throws StopRefusedError before anything is ended, when a node would not come back with the data that it has, and that is not to be removed
 * @throws NodeStopError when a node refuses, or is still there after 15 s
 * @throws DataDirError when the folder's manifest is damaged
 */
export async function stopCluster(options: StopOptions = {}): Promise<StopReport> {
  const dataDir = resolve(options.dataDir ?? DEFAULT_DATA_DIR)
  const remove = options.remove ?? false
  const manifest = await readManifest(dataDir)
  if (manifest === null) return { dataDir, found: false, removed: false, nodes: [] }

  const found = await Promise.all(
    placesToStop(dataDir, manifest).map(async (place) => ({ place, state: await stateOf(place, manifest) })),
  )
  if (!remove) await mustBeKept(dataDir, found)
  // Frozen ones first: a master that shuts down waits for its replicas, and these would not answer it.
  const frozen = found.filter(({ state }) => state.state === 'unresponsive')
  const others = found.filter(({ state }) => state.state !== 'unresponsive')
  const nodes: StoppedNode[] = []
  for (const group of [frozen, others]) {
    // Each one is ended, or is at its end, before what one of them refuses is told.
    const stopped = await Promise.allSettled(
      group.map(async ({ place, state }) => {
        const node = await stopOne(place, state, !remove)
        options.onNode?.(node)
        return node
      }),
    )
    for (const each of stopped) {
      if (each.status === 'rejected') throw each.reason
      nodes.push(each.value)
    }
  }
  nodes.sort((a, b) => a.port - b.port)
  if (remove) await removeCluster(dataDir, allPorts(manifest))
  return { dataDir, found: true, removed: remove, nodes }
}

interface Found {
  readonly place: NodePlace
  readonly state: NodeState
}

async function mustBeKept(dataDir: string, found: readonly Found[]): Promise<void> {
  const problems = await Promise.all(
    found.map(async ({ place, state }) => {
      const problem = 'process' in state ? await notKept(place, state) : null
      return problem === null ? [] : [`${HOST}:${place.port}: ${problem}`]
    }),
  )
  if (problems.some((each) => each.length > 0)) throw new StopRefusedError(dataDir, problems.flat())
}

/** The port of a node that was forgotten is anybody's: nothing starts that one any more. */
async function stateOf(place: NodePlace, { ports, unsettled }: Manifest): Promise<NodeState> {
  const state = await probeNode(place)
  const isOurs = ports.includes(place.port) || unsettled?.ports.includes(place.port)
  return state.state === 'foreign' && !isOurs ? { state: 'down' } : state
}

/** Where certificates or password are gone, nodes refuse us; then they are ended by signals, as those that are frozen. */
function placesToStop(dataDir: string, manifest: Manifest): NodePlace[] {
  try {
    return nodePlaces(dataDir, manifest, allPorts(manifest))
  } catch (error) {
    if (!(error instanceof DataDirError)) throw error
    return allPorts(manifest).map((port) => ({ port, dir: nodeDir(dataDir, port), access: {} }))
  }
}

async function stopOne(place: NodePlace, state: NodeState, keepData: boolean): Promise<StoppedNode> {
  if (!('process' in state)) {
    const { port } = place
    if (state.state === 'down') return { port, pid: null, outcome: 'not running', holder: null }
    const holder = state.holder === null ? null : await nameHolderOf(state.holder)
    return { port, pid: null, outcome: 'foreign', holder }
  }
  await stopNode(place, state, { keepData })
  return { port: place.port, pid: state.process.pid, outcome: 'stopped', holder: null }
}
