import { mkdir, readFile, rename, rm, rmdir, writeFile } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { DataDirError } from './errors.js'
import { removeStaleLock } from './folder-lock.js'
import type { NodePlace } from './node.js'
import { CONFIG_FILE, clusterNodeConfig, type Profile, type Settings } from './node-config.js'
import { HOST } from './ports.js'
import type { ProcessIdentity } from './processes.js'
import { localAccess, OWN_TLS_DIR, PASSWORD_FILE, securityOf } from './security/access.js'
import type { LocalTarget } from './security/whom.js'

/** Relative to the current folder, so that each project has a cluster of its own. */
export const DEFAULT_DATA_DIR = join('.shardq', 'cluster')

/**
 * What a data folder holds: `cluster.json`, beside one folder `node_<port>` per node; of a cluster with a password also the
 * file `password`, which has it, and of one with TLS mostly a folder `tls`. No secret stands in the manifest.
 */
export interface Manifest {
  readonly version: 1
  /**
   * Who is creating the cluster; absent once it has been ready. So two `up` at once do not get in each other's
   * way, and what an `up` that was killed left behind is recognised.
   */
  readonly creator?: ProcessIdentity
  /**
   * Nodes on their way in or out, beside those of `ports`, and who is at it; absent otherwise. They own no slots, so that one whose
   * process was killed at it can be cleared away (membership/unsettled.ts).
   */
  readonly unsettled?: { readonly ports: readonly number[]; readonly by: ProcessIdentity }
  /** Nodes that the cluster has forgotten: nothing starts them any more, and their folders stay until the cluster is removed. */
  readonly forgotten?: readonly number[]
  readonly ports: readonly number[]
  readonly masters: number
  readonly replicasPerMaster: number
  readonly profile: Profile
  readonly settings: Settings
  /** Absent where the nodes do not speak TLS. `dir`: the certificates; a relative path begins at the data folder. */
  readonly tls?: { readonly dir: string; readonly authClients: boolean }
  /** The program that runs the nodes, where one was named; absent: what is found on PATH. */
  readonly redisPath?: string
}

export const MANIFEST = 'cluster.json'

export const nodeDir = (dataDir: string, port: number) => join(dataDir, `node_${port}`)

/** Every port that the folder has to do with. */
export const allPorts = ({ ports, unsettled, forgotten }: Manifest) => [
  ...new Set([...ports, ...(unsettled?.ports ?? []), ...(forgotten ?? [])]),
]

/**
 * Where the nodes of a cluster live, or some others of its folder, and how to talk to them.
 * @throws DataDirError when a secret cannot be read
 */
export function nodePlaces(
  dataDir: string,
  manifest: Manifest,
  ports: readonly number[] = manifest.ports,
): NodePlace[] {
  const access = localAccess(dataDir, manifest)
  return ports.map((port) => ({ port, dir: nodeDir(dataDir, port), access }))
}

/**
 * The addresses of the cluster in a data folder (default `.shardq/cluster`), and what a client needs to be let in; null
 * when there is none. @throws DataDirError
 */
export async function localTarget(dataDir: string = DEFAULT_DATA_DIR): Promise<LocalTarget | null> {
  const folder = resolve(dataDir)
  const manifest = await readManifest(folder)
  if (manifest === null) return null
  const seeds = manifest.ports.map((port) => ({ host: HOST, port }))
  return { seeds, access: localAccess(folder, manifest) }
}

/** Null when the folder does not exist or holds no cluster. */
export async function readManifest(dataDir: string): Promise<Manifest | null> {
  const path = join(dataDir, MANIFEST)
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return null
    throw new DataDirError(dataDir, `cannot read ${MANIFEST}: ${(error as Error).message}`, { cause: error })
  }
  try {
    const manifest = JSON.parse(text) as Manifest
    if (manifest.version === 1 && manifest.ports.every(Number.isInteger)) return manifest
  } catch {}
  throw new DataDirError(
    dataDir,
    `${MANIFEST} is damaged; move the folder away, or choose another --data-dir`,
  )
}

/** Written aside and renamed, so that a crash leaves the old one or the new one, never half of it. */
export async function writeManifest(dataDir: string, manifest: Manifest): Promise<void> {
  const path = join(dataDir, MANIFEST)
  await writeFile(`${path}.new`, `${JSON.stringify(manifest, null, 2)}\n`, { mode: 0o600 })
  await rename(`${path}.new`, path)
}

/**
 * Creates the folder of one node, for nobody else to read: a server that rewrites its redis.conf, password and all, gives
 * it mode 0644. @throws DataDirError when it is there already: it is not ours then
 */
export async function makeNodeDir(dataDir: string, port: number): Promise<string> {
  const dir = nodeDir(dataDir, port)
  try {
    await mkdir(dir, { mode: 0o700 })
    return dir
  } catch (error) {
    const problem =
      (error as NodeJS.ErrnoException).code === 'EEXIST'
        ? `${basename(dir)} is there already, but not from a cluster of ours; move it away, or choose another --data-dir`
        : (error as Error).message
    throw new DataDirError(dataDir, problem, { cause: error })
  }
}

/** Writes the redis.conf of one node, secured as the cluster of the data folder is. @returns its path */
export async function writeNodeConfig(dataDir: string, manifest: Manifest, port: number): Promise<string> {
  const dir = nodeDir(dataDir, port)
  const path = join(dir, CONFIG_FILE)
  const { profile, settings } = manifest
  const security = securityOf(dataDir, manifest)
  await writeFile(path, clusterNodeConfig({ port, dir, profile, settings, security }), { mode: 0o600 })
  return path
}

export async function removeNodeDir(dataDir: string, port: number): Promise<void> {
  await rm(nodeDir(dataDir, port), { recursive: true, force: true, maxRetries: 5 })
}

/** Removes the nodes' folders, the secrets and the manifest, nothing else; then the folders above that are empty by now. */
export async function removeCluster(dataDir: string, ports: readonly number[]): Promise<void> {
  for (const port of ports) await removeNodeDir(dataDir, port)
  await rm(join(dataDir, PASSWORD_FILE), { force: true })
  await rm(join(dataDir, OWN_TLS_DIR), { recursive: true, force: true })
  await rm(join(dataDir, `${MANIFEST}.new`), { force: true })
  await rm(join(dataDir, MANIFEST), { force: true })
  await removeStaleLock(dataDir)
  await removeIfEmpty(dataDir)
}

/** Only what is empty goes, and never further up than our own default folder. */
export async function removeIfEmpty(dataDir: string): Promise<void> {
  await rmdir(dataDir).catch(() => {})
  const parent = dirname(resolve(dataDir))
  if (basename(parent) === dirname(DEFAULT_DATA_DIR)) await rmdir(parent).catch(() => {})
}
