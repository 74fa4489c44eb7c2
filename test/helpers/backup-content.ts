import { checkBackup } from '../../src/cluster/backup/check-backup.js'
import { type BackupManifest, sha256, VERSION } from '../../src/cluster/backup/manifest.js'

export const USERS = 'users.acl'

/** Of a backup of which the users alone count: its shard is not there. */
export const manifestOf = (users: Buffer): BackupManifest => ({
  ...{ format: 'shardq-backup', version: VERSION, id: 'x', madeBy: 'shardq', startedAt: '', endedAt: '' },
  server: { flavour: 'Redis', version: '7.0.15' },
  epoch: { before: 1, after: 1 },
  shards: [
    {
      ...{ file: 'shard-0.rdb', node: { id: 'a', host: 'h', port: 1 }, slots: [[0, 16_383]], bytes: 1 },
      ...{ sha256: '', rdbVersion: 10, keys: 0, expiring: 0, checksummed: true },
      ...{ askedAt: '', begunAt: '', endedAt: '' },
    },
  ],
  nodes: [{ id: 'a', host: 'h', port: 1, role: 'master', masterId: null, answered: true }],
  ...{ settings: null, settingsThatDiffer: {}, users: USERS, usersSha256: sha256(users), warnings: [] },
})

/** What is wrong with the manifest and the users of the backup that is there. */
export const faultsIn = async (to: string) =>
  (await checkBackup(to)).faults.filter((fault) => !fault.startsWith('shard-0.rdb: '))
