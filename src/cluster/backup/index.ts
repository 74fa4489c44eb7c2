/** Backup and restore. How they think, and what they refuse, stands in docs/backup.md. */
export { type BackupOptions, type BackupProgress, type BackupReport, backupCluster } from './backup.js'
export type { BackupManifest, ShardFile } from './manifest.js'
export { type RestoreReport, restoreCluster } from './restore.js'
export type { RestoredFile, RestoreOptions, RestoreProgress } from './restore-options.js'
export { type VerifiedFile, type VerifyOptions, type VerifyReport, verifyBackup } from './verify.js'
