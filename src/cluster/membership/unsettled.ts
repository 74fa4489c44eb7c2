import { setTimeout as sleep } from 'node:timers/promises'
import { type Manifest, nodePlaces, readManifest, removeNodeDir, writeManifest } from '../data-dir.js'
import { LockUnavailableError, OperationInProgressError } from '../errors.js'
import { type Address, type LinkOptions, withLink } from '../link.js'
import { linkOptions, probeNode, stopNode } from '../node.js'
import { observe } from '../observer.js'
import { withOperation } from '../operation/index.js'
import { HOST } from '../ports.js'
import { isAlive, processStamp } from '../processes.js'
import { type NodeView, parseClusterNodes } from '../replies.js'
import { selfOf, witnessesOf } from '../views.js'
import { forgetEverywhere } from './forget.js'
import { withoutCopy } from './in-sync.js'
import { type LocalPort, localPorts } from './local-nodes.js'
import type { RosterOptions } from './roster.js'

/**
 * Nodes of a data folder on their way in or out. The manifest names them before anything is done, so that whatever kills
 * us, somebody can tell what they are:
 * - on their way in: from before their folder is made until all others know them and they have their place;
 * - on their way out: from when they own nothing and nobody follows them until their folder is removed.
 * Either way there is nothing in them that anybody needs, and the next `up`, `stop`, add-node or remove-node clears them away.
 */
export async function markUnsettled(
  dataDir: string,
  manifest: Manifest,
  ports: readonly number[],
  masters = manifest.masters,
): Promise<Manifest> {
  const by = { pid: process.pid, stamp: (await processStamp(process.pid)) ?? '' }
  const marked = {
    ...manifest,
    masters,
    ports: manifest.ports.filter((port) => !ports.includes(port)),
    // What another operation has left stays marked.
    unsettled: { ports: [...new Set([...(manifest.unsettled?.ports ?? []), ...ports])], by },
  }
  await writeManifest(dataDir, marked)
  return marked
}

/**
 * Clears away what an add-node or remove-node has left that is no more: forgotten by all, ended, its folder removed. One that owns
 * slots or has replicas after all, since somebody gave them to it by hand, becomes a node like any other; so does a replica as long as no other one
 * has all that its master has. One that was forgotten already stays marked then.
 * @returns the manifest as it is now; null when the folder holds no cluster
 */
export async function clearUnsettled(dataDir: string, options: RosterOptions = {}): Promise<Manifest | null> {
  const manifest = await readManifest(dataDir)
  if (!manifest?.unsettled) return manifest
  const { by } = manifest.unsettled
  if (by.pid !== process.pid && (await isAlive(by))) return manifest
  return discard(dataDir, manifest, options)
}

/**
 * As `clearUnsettled`, by whoever has no lock: nobody may give slots to what is cleared away.
 * @returns the manifest as it is now; null when it is as it was: there was nothing, or something else runs, and it is left for later
 */
export async function clearUnsettledAlone(dataDir: string): Promise<Manifest | null> {
  const manifest = await readManifest(dataDir)
  if (!manifest?.unsettled) return null
  const access = linkOptions(nodePlaces(dataDir, manifest)[0] ?? {})
  const seeds = manifest.ports.map((port) => ({ host: HOST, port }))
  try {
    const now = await withOperation(seeds, access, { name: 'up' }, undefined, (held) =>
      clearUnsettled(dataDir, held),
    )
    return now?.unsettled ? null : now
  } catch (error) {
    if (error instanceof OperationInProgressError || error instanceof LockUnavailableError) return null
    throw error
  }
}

/**
 * As `clearUnsettled`, whoever was at it. What a leftover has is only known when all others answer: while one is loading its data, or we may
 * not ask any more, everything stays as it is, mark and all.
 */
export async function discard(
  dataDir: string,
  { unsettled, ...manifest }: Manifest,
  options: RosterOptions,
): Promise<Manifest> {
  const leftovers = unsettled?.ports ?? []
  const [place] = nodePlaces(dataDir, manifest)
  const access = { ...options, ...linkOptions(place ?? {}) }
  const seeds = manifest.ports.map((port) => ({ host: HOST, port }))
  const adopted: number[] = []
  const isAt = await localPorts(dataDir, [...manifest.ports, ...leftovers])
  const nodes = await listedBy(seeds, access, isAt)
  if (nodes === null) return unsettled ? { ...manifest, unsettled } : manifest
  const gone = new Set(nodes.flatMap((node) => (leftovers.includes(isAt(node) ?? -1) ? [node.id] : [])))
  const isLastCopy = async ({ masterId }: Pick<NodeView, 'masterId'>) =>
    masterId !== null && (await withoutCopy({ nodes }, [masterId], gone, access)).length > 0
  const kept: number[] = []
  for (const node of nodes) {
    // One of another host may have the same port.
    const port = isAt(node)
    if (port === undefined || !leftovers.includes(port)) continue
    if (node.isUsed || (await isLastCopy(node))) adopted.push(port)
    else await forgetEverywhere(seeds, node, access)
  }
  for (const port of leftovers.filter((each) => !adopted.includes(each))) {
    const forgotten = await unlisted(dataDir, manifest, port, nodes)
    if (forgotten && (await isLastCopy(forgotten))) {
      kept.push(port)
      continue
    }
    // Signals and folders pass no other fence.
    options.mayCall?.()
    await removeLocal(dataDir, manifest, port)
  }
  const settled = {
    ...manifest,
    ports: [...manifest.ports, ...adopted],
    ...(unsettled && kept.length > 0 ? { unsettled: { ...unsettled, ports: kept } } : {}),
  }
  await writeManifest(dataDir, settled)
  return settled
}

/** What a node of ours says of itself that all have forgotten and that was not reset yet. */
async function unlisted(
  dataDir: string,
  manifest: Manifest,
  port: number,
  nodes: readonly NodeView[],
): Promise<NodeView | undefined> {
  const [place] = nodePlaces(dataDir, manifest, [port])
  if (!place || (await probeNode(place)).state !== 'running') return undefined
  const text = await withLink({ host: HOST, port }, linkOptions(place), (link) =>
    link.text('CLUSTER', 'NODES'),
  )
  const self = parseClusterNodes(text, HOST).find(({ myself }) => myself)
  return nodes.some(({ id }) => id === self?.id) ? undefined : self
}

/** Longest wait for the others, which may be loading their data. */
const ANSWER_MS = 10_000
const POLL_MS = 200

/** Everybody whom some node lists, also such as only half of them know yet. Null while not all of the others answer. */
async function listedBy(seeds: readonly Address[], access: LinkOptions, isAt: LocalPort) {
  const deadline = performance.now() + ANSWER_MS
  for (;;) {
    const witnesses = witnessesOf(await observe(seeds, access))
    const answer = new Set(witnesses.map(selfOf).map((self) => self && isAt(self)))
    const silent = seeds.filter(({ port }) => !answer.has(port))
    if (silent.length === 0) return usedIn(witnesses.flatMap(({ view }) => view))
    if (performance.now() > deadline) return null
    await sleep(POLL_MS)
  }
}

/** Used is one that owns slots or is followed, and a replica whose master does so or is down: it may be the only one with its data. */
function usedIn(all: readonly NodeView[]) {
  const owns = (id: string) => all.some((node) => node.id === id && node.slots.length > 0)
  const isDown = (id: string) => all.some((node) => node.id === id && node.flags.includes('fail'))
  const nodes = [...new Map(all.map((node) => [node.id, node])).values()]
  const isKept = ({ id, masterId }: NodeView) =>
    owns(id) || nodes.some((node) => node.masterId === id) || (masterId !== null && isDown(masterId))
  return nodes.map((node) => ({ ...node, isUsed: isKept(node) }))
}

/** Ends the process of one node and removes its folder, and whatever is in it. */
async function removeLocal(dataDir: string, manifest: Manifest, port: number): Promise<void> {
  for (const place of nodePlaces(dataDir, manifest, [port])) {
    const found = await probeNode(place)
    if ('process' in found) await stopNode(place, found, { keepData: false })
    // Something else may have the port by now; the folder is ours all the same.
    await removeNodeDir(dataDir, port)
  }
}
