import { type Manifest, nodePlaces, readManifest, removeNodeDir, writeManifest } from '../data-dir.js'
import type { Address, LinkOptions } from '../link.js'
import { linkOptions, probeNode, stopNode } from '../node.js'
import { observe } from '../observer.js'
import { HOST } from '../ports.js'
import { isAlive, processStamp } from '../processes.js'
import { witnessesOf } from '../views.js'
import { forgetEverywhere } from './forget.js'
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
    unsettled: { ports, by },
  }
  await writeManifest(dataDir, marked)
  return marked
}

/**
 * Clears away what an add-node or remove-node has left that is no more: forgotten by all, ended, its folder removed. One that owns
 * slots or has replicas after all, since somebody gave them to it by hand, becomes a node like any other. The others have to run.
 * @returns the manifest as it is now; null when the folder holds no cluster
 */
export async function clearUnsettled(dataDir: string, options: RosterOptions = {}): Promise<Manifest | null> {
  const manifest = await readManifest(dataDir)
  if (!manifest?.unsettled) return manifest
  const { by } = manifest.unsettled
  if (by.pid !== process.pid && (await isAlive(by))) return manifest
  return discard(dataDir, manifest, options)
}

/** As `clearUnsettled`, whoever was at it. */
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
  for (const node of await listedBy(seeds, access)) {
    if (!leftovers.includes(node.port)) continue
    if (node.isUsed) adopted.push(node.port)
    else await forgetEverywhere(seeds, node, access)
  }
  for (const port of leftovers) if (!adopted.includes(port)) await removeLocal(dataDir, manifest, port)
  const settled = { ...manifest, ports: [...manifest.ports, ...adopted] }
  await writeManifest(dataDir, settled)
  return settled
}

/** Everybody whom some node lists, also such as only half of them know yet. */
async function listedBy(seeds: readonly Address[], access: LinkOptions) {
  const all = witnessesOf(await observe(seeds, access)).flatMap(({ view }) => view)
  const isUsed = (id: string) =>
    all.some((node) => node.masterId === id || (node.id === id && node.slots.length > 0))
  const nodes = new Map(all.map((node) => [node.id, node]))
  return [...nodes.values()].map((node) => ({ ...node, isUsed: isUsed(node.id) }))
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
