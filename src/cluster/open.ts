import { resolve } from 'node:path'
import { DEFAULT_DATA_DIR, type Manifest, nodePlaces, readManifest } from './data-dir.js'
import { ClusterNotReadyError } from './errors.js'
import { findServer, type RedisServer } from './find-server.js'
import { nameHolderOf } from './holder-text.js'
import { inspectAny } from './inspect.js'
import { withLink } from './link.js'
import { LocalCluster } from './local-cluster.js'
import { mustHaveFolders } from './lost-folder.js'
import { linkOptions, type NodePlace, type NodeState, probeNode } from './node.js'
import { HOST } from './ports.js'
import type { ProcessIdentity } from './processes.js'
import { parseFields } from './replies.js'

/**
 * The cluster of a data folder (default `.shardq/cluster`) whose nodes all run, to look at or to strike; starts
 * nothing and changes nothing. Null when the folder holds no cluster.
 * @throws ClusterNotReadyError naming every node that does not run, AuthenticationError, TlsError, DataDirError, also where one has lost its folder
 */
export async function openCluster(dataDir: string = DEFAULT_DATA_DIR): Promise<LocalCluster | null> {
  const started = performance.now()
  const folder = resolve(dataDir)
  const manifest = await readManifest(folder)
  if (manifest === null) return null
  const places = nodePlaces(folder, manifest)
  const found = await Promise.all(places.map(async (place) => ({ place, state: await probeNode(place) })))
  const processes = new Map<number, ProcessIdentity>()
  for (const { place, state } of found) {
    if (state.state === 'running') processes.set(place.port, state.process)
  }
  for (const { state } of found) if (state.state === 'unresponsive' && state.refusal) throw state.refusal
  const missing: string[] = []
  for (const { place, state } of found) {
    if (state.state === 'running') continue
    const holder = state.state === 'foreign' && state.holder ? await nameHolderOf(state.holder) : null
    const problem = holder === null ? PROBLEMS[state.state] : `has its port held by ${holder.text}`
    missing.push(`node ${place.port} ${problem}`)
  }
  if (missing.length > 0) throw new ClusterNotReadyError(0, missing)
  await mustHaveFolders(folder, places, processes)
  const seeds = places.map(({ port }) => ({ host: HOST, port }))
  return new LocalCluster({
    dataDir: folder,
    manifest,
    processes,
    whenReady: await inspectAny(seeds, linkOptions(places[0] ?? {})),
    outcome: 'running',
    readyMs: Math.round(performance.now() - started),
    server: await serverOf(manifest, places),
  })
}

const PROBLEMS: Readonly<Record<Exclude<NodeState['state'], 'running'>, string>> = {
  unresponsive: 'runs, but does not answer',
  foreign: 'has its port held by something else',
  down: 'does not run; start it with: shardq cluster up',
}

/** What the nodes run on, so that one that is restarted runs on the same. Null where the server does not tell. */
export async function serverOf(
  { redisPath: named }: Manifest,
  [place]: readonly NodePlace[],
): Promise<RedisServer | null> {
  if (named !== undefined) return findServer({ redisPath: named }).catch(() => null)
  if (!place) return null
  const info = await withLink({ host: HOST, port: place.port }, linkOptions(place), (link) =>
    link.text('INFO', 'server'),
  )
  const redisPath = parseFields(info).get('executable')
  // The file may have been replaced or removed since; then it is searched for as for a new cluster.
  return redisPath ? findServer({ redisPath }).catch(() => null) : null
}
