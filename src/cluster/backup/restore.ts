import { resolve } from 'node:path'
import {
  BackupFolderError,
  InterruptedError,
  OperationLostError,
  RestoreIncompleteError,
  RestoreRefusedError,
} from '../errors.js'
import { findServer, type RedisServer } from '../find-server.js'
import type { Address, LinkOptions } from '../link.js'
import { withOperation } from '../operation/index.js'
import { checkFiles } from './check-files.js'
import { comparePage, copyKeys } from './copy.js'
import { type LoadServer, sweepLeftovers } from './load-server.js'
import { type BackupManifest, readBackup } from './manifest.js'
import { type Begun, Marker } from './marker.js'
import { pagesOf, type SourceKey } from './pages.js'
import { isOurs, Target } from './target.js'
import { withLoaded } from './verify.js'

export interface RestoreOptions extends LinkOptions {
  /** The server that reads the files: a binary, or the folder that holds one. Default: SHARDQ_REDIS_PATH, then PATH. */
  readonly redisPath?: string
  /** Size by MEMORY USAGE from which a key is copied in pieces. Default 1 MB. */
  readonly bigKeyBytes?: number
  /** Ends it after the keys that are under way; the same call goes on from there. */
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: RestoreProgress) => void
}

export type RestoreProgress =
  | { readonly state: 'checked'; readonly manifest: BackupManifest }
  /** An earlier restore of the same backup was broken off. */
  | { readonly state: 'resumed'; readonly begunAt: string }
  | {
      readonly state: 'copying' | 'comparing'
      readonly file: string
      readonly keys: number
      readonly of: number
    }
  | { readonly state: 'restored'; readonly file: RestoredFile }

export interface RestoredFile {
  readonly file: string
  /** Keys that are in the cluster, the same as in the backup, each with its time to live. */
  readonly keys: number
  /** Of these, keys that were there already. */
  readonly found: number
  /** Keys whose time was over, before or meanwhile. */
  readonly expired: number
  readonly copyMs: number
  readonly compareMs: number
}

export interface RestoreReport {
  readonly folder: string
  readonly manifest: BackupManifest
  readonly resumed: boolean
  readonly masters: number
  readonly files: readonly RestoredFile[]
  readonly keys: number
  readonly expired: number
  readonly ms: number
}

const BIG_KEY_BYTES = 1024 * 1024
const LINK_MS = 5_000

/**
 * Restores a backup into an empty cluster of any number of masters. A server of our own reads each file, and every key is copied to
 * whoever serves its slot there; then each is compared, with its time to live, and none may be missing or too many. Node ids,
 * addresses and AOFs of the old cluster play no part. Killed at any moment, the same call goes on: keys that are there are
 * compared, those that are missing copied. How it thinks stands in docs/backup.md.
 * @throws BackupFolderError when the backup is not whole; RestoreRefusedError when the cluster is not empty, or not sound;
 *   RestoreIncompleteError when it broke off; OperationInProgressError, LockUnavailableError, OperationLostError, InterruptedError,
 *   ServerNotFoundError, ServerTooOldError, NodeUnreachableError, AuthenticationError
 */
export async function restoreCluster(
  from: string,
  seeds: readonly Address[],
  options: RestoreOptions = {},
): Promise<RestoreReport> {
  const started = performance.now()
  const folder = resolve(from)
  const manifest = await readBackup(folder)
  const faults = await checkFiles(folder, manifest, options.signal)
  if (faults.length > 0) throw new BackupFolderError(folder, faults)
  options.onProgress?.({ state: 'checked', manifest })
  const server = await findServer(options.redisPath === undefined ? {} : { redisPath: options.redisPath })
  await sweepLeftovers()
  const access = { timeoutMs: LINK_MS, ...options }
  return withOperation(seeds, access, { name: 'restore' }, options.signal, async (signal) => {
    const target = await Target.open(seeds, access)
    const replicated = target.nodes.every(({ replicas }) => replicas > 0)
    const marker = new Marker(seeds, access, { replicated, signal })
    try {
      const begun = await mayBegin(target, marker, manifest)
      if (begun) options.onProgress?.({ state: 'resumed', begunAt: begun.begunAt })
      const restore = new Restore({
        folder,
        manifest,
        server,
        target,
        marker,
        begun,
        options: { ...options, signal },
      })
      const files = await restore.run()
      const sum = (of: (file: RestoredFile) => number) => files.reduce((total, file) => total + of(file), 0)
      return {
        ...{ folder, manifest, resumed: begun !== null, masters: target.nodes.length, files },
        keys: sum(({ keys }) => keys),
        expired: sum(({ expired }) => expired),
        ms: Math.round(performance.now() - started),
      }
    } finally {
      marker.close()
      target.close()
    }
  })
}

/** Into an empty cluster, or into one in which this very backup was begun. Null: it is new. */
async function mayBegin(target: Target, marker: Marker, { id }: BackupManifest): Promise<Begun | null> {
  const begun = await marker.read()
  if (begun && begun.backup !== id)
    throw new RestoreRefusedError(
      `a restore of another backup (${begun.folder}, begun ${begun.begunAt}) into this cluster is not complete; ` +
        `finish that one, or take a cluster that is empty`,
    )
  if (begun) return begun
  for (const node of target.nodes) {
    const key = await node.someKey()
    if (key)
      throw new RestoreRefusedError(
        `${node.name} is not empty: it has ${key}; a backup is restored into an empty cluster, such as a new one: ` +
          'shardq cluster restore --from DIR --masters 3 --data-dir NEW_DIR',
      )
  }
  return null
}

interface Parts {
  readonly folder: string
  readonly manifest: BackupManifest
  readonly server: RedisServer
  readonly target: Target
  readonly marker: Marker
  readonly begun: Begun | null
  readonly options: RestoreOptions
}

/** One restore, from the first file to the last key. */
class Restore {
  #lasting = 0
  #partial: string | undefined
  /** Whether the cluster says that it is being filled. Not before a server has read the first file. */
  #marked: boolean

  constructor(private readonly parts: Parts) {
    this.#partial = parts.begun?.partial
    this.#marked = parts.begun !== null
  }

  async run(): Promise<RestoredFile[]> {
    const { folder, manifest, server, target, marker, options } = this.parts
    const files: RestoredFile[] = []
    try {
      // One after the other, so that this machine needs memory for the largest, not for all.
      for (const shard of manifest.shards) {
        const file = await withLoaded(server, folder, shard, options.signal, (loaded) =>
          this.#restoreFile(shard.file, loaded),
        )
        files.push(file)
        options.onProgress?.({ state: 'restored', file })
      }
      await this.#countAll(files)
      for (const node of target.nodes) await node.confirm()
      await marker.end()
      return files
    } catch (error) {
      if (this.#marked && options.signal?.aborted && !(error instanceof OperationLostError))
        throw new RestoreIncompleteError('it was interrupted', { cause: error })
      if (error instanceof RestoreIncompleteError) throw error
      if (!this.#marked)
        throw options.signal?.aborted ? new InterruptedError('the restore', { cause: error }) : error
      throw new RestoreIncompleteError((error as Error).message, { cause: error })
    }
  }

  async #restoreFile(file: string, loaded: LoadServer): Promise<RestoredFile> {
    const started = performance.now()
    const { folder, manifest, marker } = this.parts
    if (!this.#marked) await marker.begin(manifest.id, folder)
    this.#marked = true
    await this.#copyFunctions(loaded)
    const found = await this.#copy(file, loaded)
    for (const node of this.parts.target.nodes) await node.confirm()
    const copied = performance.now()
    const { keys, expired } = await this.#compare(file, loaded)
    return {
      ...{ file, keys, found },
      expired: loaded.expired + expired,
      copyMs: Math.round(copied - started),
      compareMs: Math.round(performance.now() - copied),
    }
  }

  /** @returns how many were there already */
  async #copy(file: string, { link, loaded }: LoadServer): Promise<number> {
    const { target, marker, begun } = this.parts
    let found = 0
    await this.#eachPage('copying', file, link, loaded, async (page) => {
      const missing = begun ? await this.#missing(link, page) : page
      found += page.length - missing.length
      await copyKeys(link, target, marker, missing)
    })
    return found
  }

  /**
   * A key is there as a whole or not at all, except the one that was being copied in pieces. Any other that differs was written by
   * somebody else since, and is not to be lost.
   */
  async #missing(
    source: Parts['target']['nodes'][number]['link'],
    page: readonly SourceKey[],
  ): Promise<SourceKey[]> {
    const { target, marker } = this.parts
    const standings = await comparePage(source, target, page)
    const missing: SourceKey[] = []
    for (const [key, standing] of standings) {
      if (standing === 'missing') missing.push(key)
      if (standing !== 'different') continue
      if (key.name.toString('hex') !== this.#partial) throw this.#changed(key, 'differs from the backup')
      await target.nodeOf(key.name).link.bytes('UNLINK', key.name)
      await marker.endKey()
      this.#partial = undefined
      missing.push(key)
    }
    return missing
  }

  async #compare(file: string, { link, loaded }: LoadServer): Promise<{ keys: number; expired: number }> {
    const { target } = this.parts
    let [keys, expired] = [0, 0]
    await this.#eachPage('comparing', file, link, loaded, async (page) => {
      const standings = await comparePage(link, target, page)
      for (const [key, standing] of standings) {
        if (standing === 'missing') throw this.#changed(key, 'was copied and is gone again')
        if (standing === 'different') throw this.#changed(key, 'was copied and differs by now')
        if (standing === 'expired') expired++
        else keys++
        if (key.expiresAtMs < 0) this.#lasting++
      }
    })
    return { keys, expired }
  }

  /** What expires may have done so since it was compared; of what does not, nothing may be missing and nothing too many. */
  async #countAll(files: readonly RestoredFile[]): Promise<void> {
    const counts = await Promise.all(this.parts.target.nodes.map((node) => node.count()))
    // Our own note lasts, our lock expires.
    const lasting = counts.reduce((sum, each) => sum + each.lasting, 0) - 1
    const all = counts.reduce((sum, each) => sum + each.all, 0) - 2
    const most = files.reduce((sum, { keys }) => sum + keys, 0)
    if (lasting !== this.#lasting || all > most)
      throw new RestoreIncompleteError(
        `the cluster has ${lasting} keys that do not expire where the backup has ${this.#lasting}, ${all} in all where it has ` +
          `${most}; something else writes to it`,
      )
  }

  /** The same on every master. */
  async #copyFunctions({ link }: LoadServer): Promise<void> {
    const libraries = (await link.reply('FUNCTION', 'LIST')) as unknown[]
    if (libraries.length === 0) return
    const dump = (await link.bytes('FUNCTION', 'DUMP')) as Buffer
    for (const node of this.parts.target.nodes) await node.link.bytes('FUNCTION', 'RESTORE', dump, 'REPLACE')
  }

  async #eachPage(
    state: 'copying' | 'comparing',
    file: string,
    link: LoadServer['link'],
    of: number,
    use: (page: readonly SourceKey[]) => Promise<void>,
  ): Promise<void> {
    const { signal, onProgress, bigKeyBytes = BIG_KEY_BYTES } = this.parts.options
    let keys = 0
    let busy: Promise<void> = Promise.resolve()
    const sums = state === 'comparing' || this.parts.begun !== null
    for await (const all of pagesOf(link, { bigKeyBytes, sums })) {
      // While the next page is read, this one is written.
      await busy
      if (signal?.aborted) throw new InterruptedError('the restore')
      busy = use(all.filter(({ name }) => !isOurs(name)))
      busy.catch(() => {})
      keys += all.length
      onProgress?.({ state, file, keys, of })
    }
    await busy
  }

  #changed(key: SourceKey, how: string): RestoreIncompleteError {
    const { name } = this.parts.target.nodeOf(key.name)
    return new RestoreIncompleteError(
      `${key.name} on ${name} ${how}; something else writes to this cluster: end that, remove all keys (FLUSHALL on every ` +
        'master), and restore again',
    )
  }
}
