import { access } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import {
  DEFAULT_DATA_DIR,
  MANIFEST,
  type Manifest,
  makeNodeDir,
  nodePlaces,
  readManifest,
  removeCluster,
  removeIfEmpty,
  writeManifest,
  writeNodeConfig,
} from './data-dir.js'
import { DataDirError, InterruptedError, NodeLostError, NodeStartError, PortInUseError } from './errors.js'
import { ensureServer, type RedisServer } from './find-server.js'
import { withFolderLock } from './folder-lock.js'
import { formCluster, slotRanges } from './form.js'
import { nameHolderOf } from './holder-text.js'
import type { ClusterStatus } from './inspect.js'
import { isThere } from './is-there.js'
import { LocalCluster, withLinks } from './local-cluster.js'
import { mustHaveFolders } from './lost-folder.js'
import { withoutForgotten } from './membership/forgotten.js'
import { clearUnsettledAlone } from './membership/unsettled.js'
import { discardProcess, type NodePlace, type PortHolder, probeNode, stopNode } from './node.js'
import { CONFIG_FILE } from './node-config.js'
import { checkPortsFree } from './ports.js'
import { isAlive, type ProcessIdentity, processStamp } from './processes.js'
import { waitUntilAgreed, waitUntilGivenUp, waitUntilReady } from './ready.js'
import { settleConfig } from './relocate.js'
import { checkFurnishable, checkSamePassword, furnish } from './security/furnish.js'
import { startNodeAnyhow } from './shard-ids.js'
import { stopCluster } from './stop.js'
import { checkSameCluster, newManifest, type UpOptions } from './up-options.js'

/** Of nodes that the next `up` removes when this one is killed. */
const FORMING_TIMEOUT_MS = 1000

/**
 * Brings up the local cluster of a data folder, whatever state it is in, and returns when it is ready in the
 * full sense (`waitUntilReady`):
 * - nothing there: creates it;
 * - stopped, or some nodes crashed: starts what is missing, on its old data;
 * - running: changes nothing;
 * - nodes of it were forgotten by the others (`fix --forget`): does without them, and leaves their folders;
 * - the folder of a node is gone: starts the others, which run on, and throws; also if the node itself runs still;
 * - moved, or a copy of the folder of another cluster: as above, in this folder, and never in the one that it was.
 * When it fails or is interrupted, the processes that it started are ended, and a cluster that was new is
 * removed again.
 * @throws InvalidOptionError, DataDirError, PortInUseError, ServerNotFoundError, ServerInstallError,
 *   ServerTooOldError, NodeStartError, NodeLostError, ClusterNotReadyError, AuthenticationError, TlsError, InterruptedError
 */
export async function startCluster(options: UpOptions = {}): Promise<LocalCluster> {
  const started = performance.now()
  const dataDir = resolve(options.dataDir ?? DEFAULT_DATA_DIR)
  const wanted = newManifest(options)
  let failed = true
  let isNew = false
  try {
    return await withFolderLock(dataDir, async ({ made }) => {
      isNew = made
      const cluster = await bringUp(dataDir, wanted, options, started)
      failed = false
      return cluster
    })
  } finally {
    // What made it is undone by now; it could not go as long as the lock was in it.
    if (failed && (isNew || (await readManifest(dataDir).catch(() => undefined)) === null))
      await removeIfEmpty(dataDir)
  }
}

async function bringUp(
  dataDir: string,
  wanted: Manifest,
  options: UpOptions,
  started: number,
): Promise<LocalCluster> {
  if (options.clean) await stopCluster({ dataDir, remove: true })

  const manifest = await findFinished(dataDir)
  if (manifest === null) return create(dataDir, wanted, options, started)
  checkSameCluster(dataDir, manifest, options)
  checkSamePassword(dataDir, manifest, options)
  const { manifest: remaining, forgotten } = await withoutForgotten(dataDir, manifest)
  for (const node of forgotten) options.onStep?.({ step: 'forgotten', ...node })
  return revive(dataDir, remaining, options, started)
}

/** The cluster in the folder; what an `up` that was killed has left there is cleared away first. */
async function findFinished(dataDir: string): Promise<Manifest | null> {
  const manifest = await readManifest(dataDir)
  if (!manifest?.creator) return manifest
  if (await isAlive(manifest.creator)) {
    throw new DataDirError(
      dataDir,
      `process ${manifest.creator.pid} is creating a cluster here at this moment`,
    )
  }
  await stopCluster({ dataDir, remove: true })
  return null
}

async function create(
  dataDir: string,
  wanted: Manifest,
  options: UpOptions,
  started: number,
): Promise<LocalCluster> {
  const server = await locateServer(options)
  await checkPortsFree(wanted.ports, { bus: true })
  await checkFurnishable(dataDir, wanted)
  const madeDirs: number[] = []
  const running = new Map<number, ProcessIdentity>()
  try {
    const creator = { pid: process.pid, stamp: (await processStamp(process.pid)) ?? '' }
    await writeManifest(dataDir, { ...wanted, creator })
    for (const port of wanted.ports) {
      const dir = await makeNodeDir(dataDir, port)
      madeDirs.push(port)
      options.onStep?.({ step: 'folder', path: dir })
    }
    await furnish(dataDir, wanted, options)
    for (const port of wanted.ports) {
      const path = await writeNodeConfig(dataDir, wanted, port)
      options.onStep?.({ step: 'config', path, port })
    }
    const places = nodePlaces(dataDir, wanted)
    await startNodes(server, places, running, options)
    slotRanges(wanted.masters).forEach(([first, last], index) => {
      options.onStep?.({ step: 'slots', port: wanted.ports[index] ?? 0, first, last })
    })
    const forming = { ...readyOptions(options), formingTimeoutMs: FORMING_TIMEOUT_MS }
    const whenReady = await withLinks(places, (links) => formCluster(links, wanted, forming))
    await writeManifest(dataDir, wanted)
    const readyMs = since(started)
    const common = { dataDir, manifest: wanted, processes: running, server }
    return finish(new LocalCluster({ ...common, whenReady, outcome: 'created', readyMs }), options)
  } catch (error) {
    await Promise.all([...running.values()].map(discardProcess))
    await removeCluster(dataDir, madeDirs)
    throw interruptedOr(error, options)
  }
}

/** @param outcome what is told when all nodes run */
async function revive(
  dataDir: string,
  manifest: Manifest,
  options: UpOptions,
  started: number,
  outcome: LocalCluster['outcome'] = 'running',
): Promise<LocalCluster> {
  const places = nodePlaces(dataDir, manifest)
  const running = new Map<number, ProcessIdentity>()
  const ours = new Map<number, ProcessIdentity>()
  const down: NodePlace[] = []
  for (const { place, found } of await probeAll(places)) {
    if (found.state === 'running') running.set(place.port, found.process)
    else if (found.state === 'down') down.push(place)
    else if (found.state === 'unresponsive' && found.refusal) throw found.refusal
    else if (found.state === 'foreign') throw await portHeld(place, found.holder)
    else {
      const problem = `its process ${found.process.pid} runs but does not answer; end it with: shardq cluster stop`
      throw new NodeStartError(place.port, problem, '')
    }
  }
  const done = async (
    outcome: LocalCluster['outcome'],
    whenReady: ClusterStatus,
    server: RedisServer | null,
  ) => {
    ours.clear()
    await mustHaveFolders(dataDir, places, running)
    const common = { dataDir, manifest, processes: running, server }
    return finish(new LocalCluster({ ...common, whenReady, outcome, readyMs: since(started) }), options)
  }

  await settle(places, options)
  try {
    if (down.length === 0) {
      options.onStep?.({ step: 'running', ports: manifest.ports })
      if (manifest.unsettled)
        await startLeftovers(
          await locateServer({ ...remembered(manifest), ...options }),
          dataDir,
          manifest,
          ours,
        )
      const settled = await clearUnsettledAlone(dataDir)
      if (settled) return await revive(dataDir, settled, options, started, outcome)
      const status = await withLinks(places, (links) => waitUntilAgreed(links, readyOptions(options)))
      return await done(outcome, status, null)
    }
    const server = await locateServer({ ...remembered(manifest), ...options })
    await checkPortsFree(
      down.map(({ port }) => port),
      { bus: true },
    )
    const lost = await withoutFolder(down)
    const there = down.filter(({ port }) => !lost.includes(port))
    await startNodes(server, there, ours, options)
    if (lost.length > 0) {
      const others = places.filter(({ port }) => !lost.includes(port))
      await withLinks(others, (links) => waitUntilGivenUp(links, lost, readyOptions(options)))
      ours.clear()
      throw new NodeLostError(lost, dataDir)
    }
    for (const [port, identity] of ours) running.set(port, identity)
    await startLeftovers(server, dataDir, manifest, ours)
    const settled = await clearUnsettledAlone(dataDir)
    if (settled) return await revive(dataDir, settled, options, started, 'restarted')
    const status = await withLinks(places, (links) => waitUntilReady(links, readyOptions(options)))
    return await done('restarted', status, server)
  } catch (error) {
    await Promise.all(nodePlaces(dataDir, manifest, [...ours.keys()]).map((place) => stopAgain(place, ours)))
    throw interruptedOr(error, options)
  }
}

/**
 * Nodes that were on their way in or out when whoever was at it was killed: somebody may have given them slots since, and without these the
 * cluster takes nothing, not even the lock under which they are cleared away. One that cannot be started has never been a node.
 */
async function startLeftovers(
  server: RedisServer,
  dataDir: string,
  manifest: Manifest,
  ours: Map<number, ProcessIdentity>,
): Promise<void> {
  const { unsettled } = manifest
  if (!unsettled || (await isAlive(unsettled.by))) return
  for (const { place, found } of await probeAll(nodePlaces(dataDir, manifest, unsettled.ports)))
    if (found.state === 'down') {
      const identity = await startNodeAnyhow(server, place).catch(() => undefined)
      if (identity) ours.set(place.port, identity)
    }
}

/** Those that have nothing to be started from. */
async function withoutFolder(places: readonly NodePlace[]): Promise<number[]> {
  const found = await Promise.allSettled(places.map(({ dir }) => access(join(dir, CONFIG_FILE))))
  return places.flatMap(({ port }, i) => {
    const each = found[i]
    return each?.status === 'rejected' && each.reason.code === 'ENOENT' ? [port] : []
  })
}

/** What we have started and is there still: a leftover may have been cleared away since. */
async function stopAgain(place: NodePlace, ours: ReadonlyMap<number, ProcessIdentity>): Promise<void> {
  const process = ours.get(place.port)
  if (process && (await isAlive(process)))
    await stopNode(place, { state: 'running', process }, { keepData: true })
}

/** What holds the port of a node of ours, and the way out: of two copies of one cluster only one can run. */
async function portHeld({ port, dir }: NodePlace, holder: PortHolder | null): Promise<PortInUseError> {
  if (holder === null)
    return new PortInUseError(port, 'data', null, 'stop what holds it, or choose another --data-dir')
  const { text, dataDir, stop } = await nameHolderOf(holder)
  if (dataDir === null)
    return new PortInUseError(port, 'data', text, `end it with: ${stop} - or choose another --data-dir`)
  const wayOut =
    `the nodes of ${dirname(dir)} have the same ports, as those of a copy have, so only one of the two clusters can run; end ` +
    `the other one with: ${stop} - or make a new one here, without this data, with: shardq cluster up --clean --base-port PORT`
  return new PortInUseError(port, 'data', text, wayOut)
}

/** A folder that was moved or copied here runs here from now on. */
async function settle(places: readonly NodePlace[], { onStep }: UpOptions): Promise<void> {
  let from: string | null = null
  for (const { dir } of places) {
    const before = await settleConfig(dir)
    if (before !== null) from = dirname(before)
  }
  if (from === null) return
  const isCopy = await isThere(join(from, MANIFEST))
  onStep?.({ step: 'moved', from, isCopy })
}

/** An older server than the one that has written the data may not be able to read them. */
const remembered = ({ redisPath }: Manifest) => (redisPath === undefined ? {} : { redisPath })

const probeAll = (places: readonly NodePlace[]) =>
  Promise.all(places.map(async (place) => ({ place, found: await probeNode(place) })))

async function locateServer(options: UpOptions): Promise<RedisServer> {
  const server = await ensureServer({
    ...(options.redisPath === undefined ? {} : { redisPath: options.redisPath }),
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    onInstall: (command) => options.onStep?.({ step: 'install', command }),
  })
  options.onStep?.({ step: 'server', ...server })
  return server
}

/** Starts all, and only then fails if one did: `running` names every process that has to be ended again. */
async function startNodes(
  server: RedisServer,
  places: readonly NodePlace[],
  running: Map<number, ProcessIdentity>,
  { signal, onStep }: UpOptions,
): Promise<void> {
  const results = await Promise.allSettled(
    places.map(async (place) => {
      const identity = await startNodeAnyhow(server, place, { signal })
      running.set(place.port, identity)
      onStep?.({ step: 'started', port: place.port, pid: identity.pid })
    }),
  )
  const failed = results.find((result) => result.status === 'rejected')
  if (failed) throw failed.reason
}

function finish(cluster: LocalCluster, { onStep }: UpOptions): LocalCluster {
  onStep?.({ step: 'ready', ms: cluster.readyMs, nodes: cluster.nodes })
  return cluster
}

const readyOptions = ({ timeoutMs = 30_000, signal }: UpOptions) => ({ timeoutMs, signal })

const since = (started: number) => Math.round(performance.now() - started)

const interruptedOr = (error: unknown, { signal }: UpOptions) =>
  signal?.aborted ? new InterruptedError('creating the cluster', { cause: error }) : error
