import { BackupFolderError, RestoreRefusedError } from '../errors.js'
import { findServer } from '../find-server.js'
import { sweepHelpers } from '../helper-server.js'
import type { Address } from '../link.js'
import { withOperation } from '../operation/index.js'
import { checkBackup } from './check-backup.js'
import { Filling } from './filling.js'
import type { BackupManifest } from './manifest.js'
import { type Begun, Marker } from './marker.js'
import type { RestoredFile, RestoreOptions } from './restore-options.js'
import { Target } from './target.js'

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
  const backup = await checkBackup(from, options.signal)
  const { folder, manifest, faults } = backup
  if (faults.length > 0) throw new BackupFolderError(folder, faults)
  options.onProgress?.({ state: 'checked', manifest })
  const server = await findServer(options.redisPath === undefined ? {} : { redisPath: options.redisPath })
  await sweepHelpers()
  const access = { timeoutMs: LINK_MS, ...options }
  return withOperation(seeds, access, { name: 'restore' }, options.signal, async (held) => {
    const ours = { ...access, ...held }
    const target = await Target.open(seeds, ours)
    const replicated = target.nodes.every(({ replicas }) => replicas > 0)
    const marker = new Marker(seeds, ours, { replicated, signal: held.signal })
    try {
      const begun = await mayBegin(target, marker, manifest)
      if (begun) options.onProgress?.({ state: 'resumed', begunAt: begun.begunAt })
      const filling = new Filling({
        backup,
        server,
        target,
        marker,
        begun,
        options: { ...options, ...held },
      })
      const files = await filling.run()
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
  const found = await target.someKey()
  if (found)
    throw new RestoreRefusedError(
      `${found.node.name} is not empty: it has ${found.key}; a backup is restored into an empty cluster, such as a new one: ` +
        'shardq cluster restore --from DIR --masters 3 --data-dir NEW_DIR',
    )
  return null
}
