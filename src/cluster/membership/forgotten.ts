import { resolve } from 'node:path'
import {
  DEFAULT_DATA_DIR,
  type Manifest,
  nodeDir,
  nodePlaces,
  readManifest,
  writeManifest,
} from '../data-dir.js'
import { withFolderLock } from '../folder-lock.js'
import { isThere } from '../is-there.js'
import { probeNode } from '../node.js'
import { isAlive } from '../processes.js'
import type { NodeView } from '../replies.js'
import { ALL_SLOTS, countIn } from '../slots.js'
import { writtenView } from './local-nodes.js'

/** A node of a data folder that is no member of its cluster any more. */
export interface ForgottenNode {
  readonly port: number
  /** The folder in which its data stays; null where that is gone. */
  readonly dir: string | null
}

/**
 * Takes nodes out of the manifest that the cluster has forgotten and that do not run: `up` would start them, and wait for them in vain. Their
 * folders stay. It goes by what is true, not by what was done, so that it makes good what whoever forgot them was killed before.
 * @throws DataDirError when an `up` is at work in the folder
 */
export async function leaveOutForgotten(dataDir: string = DEFAULT_DATA_DIR): Promise<ForgottenNode[]> {
  const folder = resolve(dataDir)
  const manifest = await readManifest(folder)
  if (manifest === null || (await forgottenIn(folder, manifest)).ports.length === 0) return []
  return withFolderLock(folder, async () => {
    const now = await readManifest(folder)
    return now === null ? [] : (await withoutForgotten(folder, now)).forgotten
  })
}

/** As `leaveOutForgotten`, by whoever has the lock of the folder. */
export async function withoutForgotten(
  dataDir: string,
  manifest: Manifest,
): Promise<{ readonly manifest: Manifest; readonly forgotten: ForgottenNode[] }> {
  const { ports, masters } = await forgottenIn(dataDir, manifest)
  const places = nodePlaces(dataDir, manifest, ports)
  const states = await Promise.all(places.map((place) => probeNode(place)))
  const gone = ports.filter((_, i) => states[i]?.state === 'down')
  if (gone.length === 0) return { manifest, forgotten: [] }
  const settled = {
    ...manifest,
    masters,
    ports: manifest.ports.filter((port) => !gone.includes(port)),
    forgotten: [...new Set([...(manifest.forgotten ?? []), ...gone])],
  }
  await writeManifest(dataDir, settled)
  const forgotten = await Promise.all(
    gone.map(async (port) => {
      const dir = nodeDir(dataDir, port)
      return { port, dir: (await isThere(dir)) ? dir : null }
    }),
  )
  return { manifest: settled, forgotten }
}

/**
 * Which ones that are, by what the nodes have written down, so that it can be told before any is started: those that own all slots, as all of
 * these say, do not list it, and no node of the folder that stays follows it. While an add-node or remove-node is at work, and where owners run
 * on other hosts, nobody is.
 */
async function forgottenIn(
  dataDir: string,
  manifest: Manifest,
): Promise<{ readonly ports: number[]; readonly masters: number }> {
  const nobody = { ports: [], masters: manifest.masters }
  if (manifest.creator || (manifest.unsettled && (await isAlive(manifest.unsettled.by)))) return nobody
  const views = new Map<number, NodeView[]>()
  for (const port of manifest.ports) views.set(port, await writtenView(dataDir, port))
  const members = membersOf([...views.values()])
  if (members === null) return nobody
  const isMember = (port: number) => {
    const self = views.get(port)?.find(({ myself }) => myself)
    // By its port, too: one that came back as somebody else is known by who it was.
    return members.some((node) => node.id === self?.id || node.port === port)
  }
  const remaining = manifest.ports.filter(isMember).map((port) => views.get(port) ?? [])
  const ports = manifest.ports.filter(
    (port) => !isMember(port) && !remaining.some((view) => isFollowing(view, port)),
  )
  const masters = members.filter(
    ({ role, slots, flags }) => role === 'master' && (slots.length > 0 || !flags.includes('fail')),
  )
  return { ports, masters: masters.length }
}

/**
 * Whether who has written this down follows that one, and goes on to: without slots it is replaced by nobody, and its replica would wait for it for ever.
 */
function isFollowing(view: readonly NodeView[], port: number): boolean {
  const self = view.find(({ myself }) => myself)
  return view.some((node) => node.id === self?.masterId && node.port === port && node.slots.length === 0)
}

/** Everybody whom an owner of slots lists. Null where the owners do not all say that they are the owners. */
function membersOf(views: readonly NodeView[][]): NodeView[] | null {
  const ownersIn = (view: readonly NodeView[]) => view.filter(({ slots }) => slots.length > 0)
  const groups = new Map<string, NodeView[]>()
  for (const view of views) {
    const owners = ownersIn(view)
    if (owners.reduce((sum, { slots }) => sum + countIn(slots), 0) !== ALL_SLOTS) continue
    const said = owners.map(({ id }) =>
      views.find((each) => each.some((node) => node.myself && node.id === id)),
    )
    const ids = (nodes: readonly NodeView[]) =>
      nodes
        .map(({ id }) => id)
        .sort()
        .join()
    if (!said.every((each) => each && ids(ownersIn(each)) === ids(owners))) continue
    const all = said.flatMap((each) => each ?? [])
    groups.set(ids(owners), [...new Map(all.map((node) => [node.id, node])).values()])
  }
  const [members, others] = [...groups.values()]
  return others === undefined ? (members ?? null) : null
}
