import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { BackupFolderError } from '../errors.js'
import { ALL_SLOTS, slotsIn } from '../slots.js'
import { readRegular } from './regular.js'

/** Written last: a folder without it holds no backup. */
export const MANIFEST = 'backup.json'
/** SHA-256 of the manifest, as `sha256sum` writes and checks it. */
export const MANIFEST_SUM = 'backup.json.sha256'
/** The only file with users that there may be. */
export const USERS_FILE = 'users.acl'
/** From 2 on, the manifest and the users have checksums too. */
export const VERSION = 2

const slot = z
  .int()
  .min(0)
  .max(ALL_SLOTS - 1)
const slotRange = z
  .tuple([slot, slot])
  .refine(([first, last]) => first <= last, 'the first slot is after the last')

const shardFile = z.object({
  /** Name in the folder. */
  file: z.string().regex(/^shard-\d+\.rdb$/),
  node: z.object({ id: z.string(), host: z.string(), port: z.int() }),
  slots: z.array(slotRange),
  bytes: z.int(),
  sha256: z.string(),
  rdbVersion: z.int(),
  /** Keys in the file, those among them that had expired and were not removed yet. */
  keys: z.int(),
  /** Of these, keys with a time to live. */
  expiring: z.int(),
  /** False where the server writes no checksum of its own. */
  checksummed: z.boolean(),
  /** The snapshot is of one moment between the first two. ISO 8601, by the clock of the machine that took the backup. */
  askedAt: z.string(),
  begunAt: z.string(),
  endedAt: z.string(),
})

const manifest = z.object({
  format: z.literal('shardq-backup'),
  version: z.union([z.literal(1), z.literal(VERSION)]),
  id: z.string(),
  /** Of shardq. */
  madeBy: z.string(),
  startedAt: z.string(),
  endedAt: z.string(),
  server: z.object({ flavour: z.enum(['Redis', 'Valkey']), version: z.string() }),
  /** `cluster_current_epoch` before the first snapshot and after the last one. */
  epoch: z.object({ before: z.int(), after: z.int() }),
  shards: z.array(shardFile),
  /** Who was there, and as what. */
  nodes: z.array(
    z.object({
      id: z.string(),
      host: z.string(),
      port: z.int(),
      role: z.enum(['master', 'replica']),
      masterId: z.string().nullable(),
      answered: z.boolean(),
    }),
  ),
  /** What all nodes had the same, without secrets; null where we were not allowed to ask. */
  settings: z.record(z.string(), z.string()).nullable(),
  /** What they had not the same: by name, then by node. */
  settingsThatDiffer: z.record(z.string(), z.record(z.string(), z.string())),
  /** Name of the file with the lines of ACL LIST, in which passwords are hashes; null where we were not allowed to ask. */
  users: z.literal(USERS_FILE).nullable(),
  /** SHA-256 of that file; without users, and up to version 1, there is none. */
  usersSha256: z.string().optional(),
  /** What does not make the backup wrong, but should be known. */
  warnings: z.array(z.string()),
})

export type ShardFile = Readonly<z.infer<typeof shardFile>>
export type BackupManifest = Readonly<z.infer<typeof manifest>>

/** @throws BackupFolderError when there is none, it cannot be read, is of a later version, or does not cover every slot */
export async function readBackup(folder: string): Promise<BackupManifest> {
  const fail = (problem: string, cause?: unknown) => new BackupFolderError(folder, [problem], { cause })
  let text: string
  try {
    text = String(await readRegular(join(folder, MANIFEST)))
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw fail(`cannot read ${MANIFEST}: ${message}`, error)
    throw fail(`no backup here, or one that was not finished: there is no ${MANIFEST}`, error)
  }
  let found: unknown
  try {
    found = JSON.parse(text)
  } catch (error) {
    throw fail(`${MANIFEST} is damaged: ${(error as Error).message}`, error)
  }
  const later = z
    .object({ format: z.literal('shardq-backup'), version: z.int().gt(VERSION) })
    .safeParse(found)
  if (later.success)
    throw fail(`a backup of format ${later.data.version}; this shardq reads ${VERSION}: take a newer one`)
  const parsed = manifest.safeParse(found)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw fail(`${MANIFEST} is damaged: ${issue?.path.join('.')}: ${issue?.message}`)
  }
  const fault =
    (parsed.data.version === 1 ? null : await sumFault(folder, text)) ??
    coverageFault(parsed.data.shards) ??
    ownersFault(parsed.data)
  if (fault !== null) throw fail(fault)
  return parsed.data
}

/** What `sha256sum --check` reads. */
export const sumLine = (text: string) => `${sha256(text)}  ${MANIFEST}\n`

export const sha256 = (text: string | Buffer) => createHash('sha256').update(text).digest('hex')

async function sumFault(folder: string, text: string): Promise<string | null> {
  let found: Buffer
  try {
    found = await readRegular(join(folder, MANIFEST_SUM))
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT') return `cannot read ${MANIFEST_SUM}: ${message}`
    return `there is no ${MANIFEST_SUM}, which was written with ${MANIFEST}`
  }
  return String(found) === sumLine(text) ? null : `${MANIFEST} was changed: ${MANIFEST_SUM} is of another one`
}

/** Each file is of a master that was there. */
function ownersFault({ shards, nodes }: BackupManifest): string | null {
  const masters = new Set(nodes.filter(({ role }) => role === 'master').map(({ id }) => id))
  const stranger = shards.find(({ node }) => !masters.has(node.id))
  if (stranger) return `${stranger.file} is of a node that is not among the masters`
  return new Set(shards.map(({ file }) => file)).size === shards.length ? null : 'a file is named twice'
}

/** `shardq 0.1.0` */
export function madeBy(): string {
  const text = readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')
  return `shardq ${(JSON.parse(text) as { version: string }).version}`
}

/** Null: each slot is in one file, and in one only. */
export function coverageFault(shards: readonly Pick<ShardFile, 'slots'>[]): string | null {
  const slots = shards.flatMap((shard) => slotsIn(shard.slots))
  const distinct = new Set(slots).size
  if (distinct !== slots.length) return `${slots.length - distinct} slots are in more than one file`
  return distinct === ALL_SLOTS ? null : `${ALL_SLOTS - distinct} slots are in none of its files`
}
