import { BackupFolderError, BackupRefusedError, InterruptedError } from '../errors.js'
import type { Address, LinkOptions } from '../link.js'
import { type Observation, observe } from '../observer.js'
import { describe } from './describe.js'
import { BackupFolder } from './folder.js'
import { foreignWarnings } from './foreign.js'
import { functionWarnings } from './libraries.js'
import type { BackupManifest, ShardFile } from './manifest.js'
import { mustSaveStill, mustSendWithoutDisk } from './own-disk.js'
import { RdbFault, RdbReader } from './rdb.js'
import { openSnapshot, SnapshotFault } from './snapshot.js'
import { changeBetween, type Owner, operationsOn, type Standing, standingOf } from './standing.js'
import { usersOf } from './users.js'

export interface BackupOptions extends LinkOptions {
  /** Longest wait for a cluster in which something is not as it should be, in ms. Default 10,000. */
  readonly agreeMs?: number
  /** Longest wait for a snapshot to begin, in ms: a save that is under way is waited for. Default 10 min. */
  readonly beginMs?: number
  /** How often it begins anew when who serves what has changed meanwhile. Default 3 in all. */
  readonly tries?: number
  /** Ends it; nothing of it is kept. */
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: BackupProgress) => void
}

export type BackupProgress =
  | { readonly state: 'begun'; readonly node: string }
  | { readonly state: 'receiving'; readonly node: string; readonly bytes: number }
  | { readonly state: 'received'; readonly node: string; readonly shard: ShardFile }
  | { readonly state: 'again'; readonly why: string }

export interface BackupReport {
  /** Absolute path. */
  readonly folder: string
  readonly manifest: BackupManifest
  /** How often it was begun. */
  readonly tries: number
  readonly ms: number
}

const TRIES = 3
const LINK_MS = 5_000

/**
 * Backs a cluster up into a new folder: of each master that serves slots one snapshot, received over the connection as by a
 * replica, so the bytes that are checked are the bytes that are kept. What counts is not what the nodes say of a save, but that
 * the RDB came whole, with its checksum, and that nobody else served its slots, and no slot was on its way, from before it was asked for
 * until all were there.
 * Changes nothing in the cluster. How it thinks stands in docs/backup.md.
 * @throws BackupRefusedError, BackupFolderError, InterruptedError, NodeUnreachableError, AuthenticationError, WrongModeError;
 *   BackupUnsettledError: there is a backup
 */
export async function backupCluster(
  seeds: readonly Address[],
  to: string,
  options: BackupOptions = {},
): Promise<BackupReport> {
  const started = performance.now()
  const access = { timeoutMs: LINK_MS, ...options }
  const folder = await BackupFolder.open(to)
  let made: Made
  try {
    made = await make(seeds, folder, access)
  } catch (error) {
    const why = options.signal?.aborted ? new InterruptedError('the backup', { cause: error }) : error
    throw await discarded(folder, why as Error)
  }
  await folder.settle()
  return { folder: folder.path, ...made, ms: Math.round(performance.now() - started) }
}

type Made = Pick<BackupReport, 'manifest' | 'tries'>

async function make(seeds: readonly Address[], folder: BackupFolder, options: BackupOptions): Promise<Made> {
  for (let tries = 1; ; tries++) {
    const manifest = await attempt(seeds, folder, options)
    if (!('why' in manifest)) {
      await folder.finish(manifest)
      return { manifest, tries }
    }
    const { why } = manifest
    if (tries >= (options.tries ?? TRIES)) throw new BackupRefusedError([`in ${tries} tries: ${why}`])
    options.onProgress?.({ state: 'again', why })
    await folder.clear()
  }
}

/** Why it has to be begun anew. */
interface Setback {
  readonly why: string
}

async function attempt(
  seeds: readonly Address[],
  folder: BackupFolder,
  options: BackupOptions,
): Promise<BackupManifest | Setback> {
  const before = await standingOf(seeds, options)
  const startedAt = new Date().toISOString()
  const disks = await mustSendWithoutDisk(before, options)
  if ('why' in disks) return disks
  const shards = await takeAll(before, folder, options)
  if ('why' in shards) return shards
  const users = await usersOf(before, options)
  if ('why' in users) return users
  const warnings = [
    ...(await functionWarnings(before, options)),
    ...disks.warnings,
    ...(await foreignWarnings(
      before.owners.map(({ address }) => address),
      options,
    )),
  ]
  // Last: all that is kept is of those who serve their slots still.
  const after = await lookAgain(before, options)
  if ('why' in after) return after
  return describe({ before, after, shards, users, warnings, startedAt }, folder)
}

/** @returns why there is no backup, and what of it could not be removed */
async function discarded(folder: BackupFolder, why: Error): Promise<Error> {
  try {
    await folder.discard()
    return why
  } catch (error) {
    const left = `what was written could not be removed: ${(error as Error).message}`
    return new BackupFolderError(folder.path, [why.message, left], { cause: why })
  }
}

/** All at once, so that they are of about one moment. The price: all masters fork at once. */
async function takeAll(
  standing: Standing,
  folder: BackupFolder,
  options: BackupOptions,
): Promise<readonly ShardFile[] | Setback> {
  const { owners } = standing
  const ending = new AbortController()
  const signal = options.signal ? AbortSignal.any([options.signal, ending.signal]) : ending.signal
  const results = await Promise.allSettled(
    owners.map((owner) =>
      take(owner, folder, { ...options, signal }).catch((error) => {
        ending.abort()
        throw error
      }),
    ),
  )
  const shards: ShardFile[] = []
  const failures: unknown[] = []
  for (const result of results) {
    if (result.status === 'fulfilled') shards.push(result.value)
    // Those that were ended because of another tell nothing.
    else if (!(result.reason instanceof InterruptedError)) failures.push(result.reason)
  }
  const [failure] = failures
  if (shards.length === owners.length) return shards
  if (failure instanceof SnapshotFault) {
    await mustSaveStill(standing, options, failure.message)
    // A node that dies takes its connection with it; whether it was that, the next look shows.
    return { why: failure.message }
  }
  throw failure ?? new InterruptedError('the backup')
}

async function take(owner: Owner, folder: BackupFolder, options: BackupOptions): Promise<ShardFile> {
  const { id, name, address, slots } = owner
  const file = `shard-${slots[0]?.[0] ?? 0}.rdb`
  const rdb = new RdbReader()
  const snapshot = await openSnapshot(address, options)
  options.onProgress?.({ state: 'begun', node: name })
  let bytes = 0
  async function* read(): AsyncGenerator<Buffer> {
    for await (const chunk of snapshot.chunks) {
      rdb.push(chunk)
      bytes += chunk.length
      options.onProgress?.({ state: 'receiving', node: name, bytes })
      yield chunk
    }
  }
  try {
    await folder.write(file, read())
    const facts = rdb.end()
    if (facts.keys === null || facts.expiring === null)
      throw new RdbFault('it does not say how many keys it has (are there modules with data of their own?)')
    // With repl-diskless-sync no, a node may hand us what it has begun to save for a replica before.
    if (facts.offset !== null && facts.offset < owner.offset)
      throw new RdbFault('it is of a moment before it was asked for')
    const shard: ShardFile = {
      file,
      node: { id, ...address },
      slots: slots.map(([first, last]) => [first, last]),
      bytes: facts.bytes,
      sha256: facts.sha256,
      rdbVersion: facts.version,
      keys: facts.keys,
      expiring: facts.expiring,
      checksummed: facts.checksummed,
      askedAt: new Date(snapshot.askedAtMs).toISOString(),
      begunAt: new Date(snapshot.begunAtMs).toISOString(),
      endedAt: new Date().toISOString(),
    }
    options.onProgress?.({ state: 'received', node: name, shard })
    return shard
  } catch (error) {
    if (error instanceof RdbFault) throw new SnapshotFault(`the snapshot of ${name}: ${error.message}`)
    throw error
  } finally {
    snapshot.close()
  }
}

async function lookAgain(before: Standing, options: BackupOptions): Promise<Observation | Setback> {
  const addresses = before.nodes.map(({ host, port }) => ({ host, port }))
  const after = await observe(addresses, { ...options, config: true })
  const change = changeBetween(before, after)
  if (change !== null) return { why: change }
  const [operation] = await operationsOn(addresses, options)
  return operation === undefined ? after : { why: operation }
}
