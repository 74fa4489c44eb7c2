import { randomUUID } from 'node:crypto'
import { BackupFolderError, BackupRefusedError, InterruptedError } from '../errors.js'
import type { Address, LinkOptions } from '../link.js'
import { nameOf } from '../link.js'
import { observe } from '../observer.js'
import { versionOf } from '../version.js'
import { BackupFolder } from './folder.js'
import { type BackupManifest, madeBy, type ShardFile, sha256, USERS_FILE, VERSION } from './manifest.js'
import { RdbFault, RdbReader } from './rdb.js'
import { functionWarnings, settingsOf, usersOf } from './settings.js'
import { openSnapshot, SnapshotFault } from './snapshot.js'
import { changeBetween, type Owner, operationsOn, type Standing, standingOf } from './standing.js'

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
    const before = await standingOf(seeds, options)
    const startedAt = new Date().toISOString()
    const taken = await takeAll(before, folder, options)
    const why = 'why' in taken ? taken.why : await lookAgain(before, options)
    if (!('why' in taken) && typeof why !== 'string') {
      const manifest = await describe(before, why.after, taken.shards, startedAt, folder, options)
      await folder.finish(manifest)
      return { manifest, tries }
    }
    if (tries >= (options.tries ?? TRIES)) throw new BackupRefusedError([`in ${tries} tries: ${why}`])
    options.onProgress?.({ state: 'again', why: String(why) })
    await folder.clear()
  }
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

type Taken = { readonly shards: readonly ShardFile[] } | { readonly why: string }

/** All at once, so that they are of about one moment. The price: all masters fork at once. */
async function takeAll({ owners }: Standing, folder: BackupFolder, options: BackupOptions): Promise<Taken> {
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
  if (shards.length === owners.length) return { shards }
  // A node that dies takes its connection with it; whether it was that, the next look shows.
  if (failure instanceof SnapshotFault) return { why: failure.message }
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

async function lookAgain(
  before: Standing,
  options: BackupOptions,
): Promise<string | { readonly after: Standing['observation'] }> {
  const addresses = before.nodes.map(({ host, port }) => ({ host, port }))
  const after = await observe(addresses, { ...options, config: true })
  const change = changeBetween(before, after)
  if (change !== null) return change
  const [operation] = await operationsOn(addresses, options)
  return operation ?? { after }
}

async function describe(
  before: Standing,
  after: Standing['observation'],
  shards: readonly ShardFile[],
  startedAt: string,
  folder: BackupFolder,
  access: LinkOptions,
): Promise<BackupManifest> {
  const users = await usersOf(before, access)
  const lines = users.lines && Buffer.from(`${users.lines.join('\n')}\n`)
  if (lines) await folder.write(USERS_FILE, [lines])
  const [witness] = after.nodes.flatMap((node) => (node.up ? [node] : []))
  const unsummed = shards.filter(({ checksummed }) => !checksummed).map(({ file }) => file)
  return {
    format: 'shardq-backup',
    version: VERSION,
    id: randomUUID(),
    madeBy: madeBy(),
    startedAt,
    endedAt: new Date().toISOString(),
    server: versionOf(witness?.info ?? new Map()),
    epoch: { before: before.epoch, after: before.epoch },
    shards: [...shards].sort((a, b) => (a.slots[0]?.[0] ?? 0) - (b.slots[0]?.[0] ?? 0)),
    nodes: before.nodes.map(({ id, host, port, role, masterId }) => ({
      ...{ id, host, port, role, masterId },
      answered: !before.silent.includes(nameOf({ host, port })),
    })),
    ...settingsOf(after),
    users: lines ? USERS_FILE : null,
    ...(lines ? { usersSha256: sha256(lines) } : {}),
    warnings: [
      ...before.silent.map((name) => `${name} does not answer; it serves no slots`),
      ...(await functionWarnings(before, access)),
      ...(users.differ ? ['the nodes do not have the same users; those of the first are kept'] : []),
      ...(unsummed.length > 0
        ? [`${unsummed.join(', ')} came without a checksum of the server (rdbchecksum no)`]
        : []),
    ],
  }
}
