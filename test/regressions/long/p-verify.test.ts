import { execFile } from 'node:child_process'
import { cp, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, expect, it } from 'vitest'
import { backupCluster } from '../../../src/cluster/index.js'
import { shardq } from '../../helpers/cli.js'
import { CONTROLS } from '../../helpers/controls.js'
import { editManifest } from '../../helpers/damaged-backup.js'
import { openCluster } from '../../helpers/own-cluster.js'
import { plainKeys, writeKeys } from '../../helpers/plain-keys.js'
import { tempDir } from '../../helpers/temp-dir.js'

const FIRST = 'shard-0.rdb'
const SECOND = 'shard-5461.rdb'
let backup: string

beforeAll(async () => {
  const { cluster, dispose } = await openCluster({ replicasPerMaster: 0 })
  const folder = await mkdtemp(join(tmpdir(), 'shardq-verify-'))
  backup = join(folder, 'backup')
  try {
    await writeKeys(cluster, plainKeys(50), () => 'v')
    await backupCluster(cluster.seeds, backup)
  } finally {
    await dispose()
  }
  return () => rm(folder, { recursive: true, force: true })
})

async function verify(damage: (dir: string) => unknown) {
  const dir = join(await tempDir(), 'damaged')
  await cp(backup, dir, { recursive: true })
  await damage(dir)
  const { code, stdout, stderr } = await shardq(['cluster', 'backup', 'verify', dir])
  return { code, said: stdout + stderr }
}

async function pipeInPlaceOf(path: string): Promise<void> {
  await rm(path)
  await promisify(execFile)('mkfifo', [path])
}

it('a backup that nobody touched is whole', async () => {
  const { code, said } = await verify(() => undefined)
  expect(said).toContain('3 files, every slot in one of them')
  expect(code).toBe(0)
})

/** Beside those of test/chaos/backup.test.ts, where each is kept from being restored, too. */
it.each<[string, (dir: string) => unknown, RegExp]>([
  [
    'two files whose names were exchanged',
    async (dir) => {
      await rename(join(dir, FIRST), join(dir, 'x'))
      await rename(join(dir, SECOND), join(dir, FIRST))
      await rename(join(dir, 'x'), join(dir, SECOND))
    },
    /shard-0\.rdb: (its SHA-256 is another|it has \d+ bytes)/,
  ],
  [
    'one file for the slots of two',
    (dir) => editManifest(dir, ({ shards: [shard] }) => Object.assign(shard ?? {}, { file: SECOND })),
    /a file is named twice/,
  ],
  [
    'slots of one file that are in another, too',
    (dir) => editManifest(dir, ({ shards: [shard] }) => Object.assign(shard ?? {}, { slots: [[0, 5_461]] })),
    /1 slots are in more than one file/,
  ],
  ['an empty manifest', (dir) => writeFile(join(dir, 'backup.json'), ''), /backup\.json is damaged/],
  ...[FIRST, 'users.acl', 'backup.json', 'backup.json.sha256'].map(
    (name): [string, (dir: string) => unknown, RegExp] => [
      `a pipe in place of ${name}, which nobody writes into`,
      (dir) => pipeInPlaceOf(join(dir, name)),
      name === 'backup.json.sha256'
        ? /there is no backup\.json\.sha256/
        : new RegExp(`${name}: it is no file`),
    ],
  ),
  [
    'a name that is meant for the terminal',
    (dir) =>
      editManifest(dir, (manifest) => Object.assign(manifest, { format: 'x', madeBy: '\u001b]0;x\u0007' })),
    /backup\.json is damaged/,
  ],
])('%s: found out', async (_, damage, found) => {
  const { code, said } = await verify(damage)
  expect(said).toMatch(found)
  expect(code).toBe(1)
  expect(CONTROLS.exec(said)).toBeNull()
})
