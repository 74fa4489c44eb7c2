import type { LinkOptions } from '../link.js'
import type { BackupManifest } from './manifest.js'

export interface RestoreOptions extends LinkOptions {
  /** The server that reads the files: a binary, or the folder that holds one. Default: SHARDQ_REDIS_PATH, then PATH. */
  readonly redisPath?: string
  /** Size by MEMORY USAGE from which a key is copied in pieces. Default 1 MB. */
  readonly bigKeyBytes?: number
  /** Leave out libraries of functions (FUNCTION LOAD). Default false; true where files of the backup disagree on them, or the cluster has its own. */
  readonly skipFunctions?: boolean
  /**
   * Leave out keys that are not from shardq and have a name which the restore needs itself (`shardq:operation`, `shardq:restore`). Default false: a
   * backup with such a key is refused.
   */
  readonly skipTaken?: boolean
  /** Ends it after the keys that are under way; the same call goes on from there. */
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: RestoreProgress) => void
}

export type RestoreProgress =
  | { readonly state: 'checked'; readonly manifest: BackupManifest }
  /** An earlier restore of the same backup was broken off. */
  | { readonly state: 'resumed'; readonly begunAt: string }
  | {
      /** `looking`: at the names of all keys, before anything is written. */
      readonly state: 'looking' | 'copying' | 'comparing'
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
  /** Notes of the tools, which are about the nodes of the cluster that was backed up. */
  readonly leftOut: readonly string[]
  /** What `skipTaken` has left out. */
  readonly skipped: readonly string[]
  readonly copyMs: number
  readonly compareMs: number
}
