import { randomUUID } from 'node:crypto'
import { nameOf } from '../link.js'
import type { Observation } from '../observer.js'
import { versionOf } from '../version.js'
import type { BackupFolder } from './folder.js'
import { type BackupManifest, madeBy, type ShardFile, sha256, USERS_FILE, VERSION } from './manifest.js'
import { settingsOf } from './settings.js'
import type { Standing } from './standing.js'
import type { SavedUsers } from './users.js'

export interface Parts {
  readonly before: Standing
  readonly after: Observation
  readonly shards: readonly ShardFile[]
  readonly users: SavedUsers
  /** Of functions, of keys that no restore brings, of how nodes send their snapshots. */
  readonly warnings: readonly string[]
  readonly startedAt: string
}

/** The manifest of what was taken; users are written beside it. */
export async function describe(
  { before, after, shards, users, warnings, startedAt }: Parts,
  folder: BackupFolder,
): Promise<BackupManifest> {
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
      ...warnings,
      ...users.warnings,
      ...(unsummed.length > 0
        ? [`${unsummed.join(', ')} came without a checksum of the server (rdbchecksum no)`]
        : []),
    ],
  }
}
