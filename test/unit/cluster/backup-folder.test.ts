import { mkdir, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { BackupFolder } from '../../../src/cluster/backup/folder.js'
import { BackupFolderError } from '../../../src/cluster/errors.js'
import { makeNote } from '../../../src/cluster/operation/holder.js'
import { faultsIn, manifestOf, USERS } from '../../helpers/backup-content.js'
import { tempDir } from '../../helpers/temp-dir.js'

const NOTE = 'backup.partial'
/** Two that write the same number of bytes are not told apart by that. */
const [OURS, THEIRS] = ['user ours', 'user them'].map((text) => Buffer.from(text)) as [Buffer, Buffer]

const noteOf = async (who: Record<string, unknown>) =>
  JSON.stringify({ ...JSON.parse(await makeNote('backup')), ...who })
const DEAD = { stamp: 'of another time' }

describe('of two backups into one folder', () => {
  it.each([
    ['a new folder', async () => {}],
    [
      'what one that was killed has left',
      async (to: string) => {
        await mkdir(to)
        await writeFile(join(to, NOTE), await noteOf(DEAD))
        await writeFile(join(to, 'shard-7.rdb'), 'half of it')
      },
    ],
  ])('one alone begins: %s', async (_, prepare) => {
    for (let round = 0; round < 10; round++) {
      const dir = await tempDir()
      const to = join(dir, 'to')
      await prepare(to)
      const begun = await Promise.allSettled(Array.from({ length: 6 }, () => BackupFolder.open(to)))
      const folders = begun.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
      const refusals = begun.flatMap((each) => (each.status === 'rejected' ? [each.reason] : []))
      expect(refusals.map(({ message }) => message).join('\n')).toMatch(
        /^(.*(is making a backup here|choose a new folder).*(\n|$))+$/,
      )
      expect(folders).toHaveLength(1)
      expect(await readdir(to)).toEqual([NOTE])
      for (const folder of folders) await folder.discard()
      // The folder stays where it was there before, or one of those that were refused has made it.
      expect((await readdir(dir, { recursive: true })).filter((name) => name !== 'to')).toEqual([])
    }
  })

  it('one that is at work is named, and left alone', async () => {
    const to = join(await tempDir(), 'to')
    const folder = await BackupFolder.open(to)
    await folder.write('shard-0.rdb', [OURS])
    const refused = await BackupFolder.open(to).catch((error) => error)
    expect(refused).toBeInstanceOf(BackupFolderError)
    expect(refused.message).toMatch(
      new RegExp(
        `process ${process.pid} on .* is making a backup here, since .*; wait until it has ended, or`,
      ),
    )
    expect((await readdir(to)).sort()).toEqual([NOTE, 'shard-0.rdb'])
    await folder.discard()
  })

  it.each(['', '{"pid":', 'dear diary'])('a note that cannot be read is somebody’s: %j', async (text) => {
    const to = join(await tempDir(), 'to')
    await mkdir(to)
    await writeFile(join(to, NOTE), text)
    const begun = await BackupFolder.open(to).catch((error) => error)
    // Nobody has one that is empty for longer than it takes to write it.
    if (text === '') return begun.discard()
    expect(begun).toBeInstanceOf(BackupFolderError)
    expect(await readFile(join(to, NOTE), 'utf8')).toBe(text)
  })

  it('a note that is no file is not read', async () => {
    const dir = await tempDir()
    await symlink(join(dir, 'nowhere'), join(dir, NOTE))
    await expect(BackupFolder.open(dir)).rejects.toThrow(`${join(dir, NOTE)} is no file`)
  })

  it('nothing is cleared away that another host, or another container, may be writing', async () => {
    for (const elsewhere of [{ host: 'elsewhere' }, { pids: 'of a container' }]) {
      const to = join(await tempDir(), 'to')
      await mkdir(to)
      await writeFile(join(to, NOTE), await noteOf({ ...DEAD, ...elsewhere }))
      await writeFile(join(to, 'shard-0.rdb'), 'half of it')
      const refused = await BackupFolder.open(to).catch((error) => error)
      expect(refused).toBeInstanceOf(BackupFolderError)
      expect(refused.message).toContain(`process ${process.pid} on ${elsewhere.host ?? ''}`)
      expect(refused.message).toContain(
        `choose a new folder; or, when nobody writes here any more: rm -r '${to}'`,
      )
      expect((await readdir(to)).sort()).toEqual([NOTE, 'shard-0.rdb'])
    }
  })

  it('one whose folder went to another says so, and harms nothing of it', async () => {
    const to = join(await tempDir(), 'to')
    const first = await BackupFolder.open(to)
    await first.write(USERS, [OURS])
    // By hand: it was taken for one that is dead.
    await rm(to, { recursive: true })
    const second = await BackupFolder.open(to)
    await second.write(USERS, [THEIRS])
    await expect(first.finish(manifestOf(OURS))).rejects.toThrow(BackupFolderError)
    await first.discard()
    await second.finish(manifestOf(THEIRS))
    await second.settle()
    expect(await faultsIn(to)).toEqual([])
    expect((await readdir(to)).sort()).toEqual(['backup.json', 'backup.json.sha256', USERS])
  })

  it('it does so although the other is done', async () => {
    const to = join(await tempDir(), 'to')
    const first = await BackupFolder.open(to)
    await rm(to, { recursive: true })
    const second = await BackupFolder.open(to)
    await second.write(USERS, [THEIRS])
    await second.finish(manifestOf(THEIRS))
    await second.settle()
    await expect(first.write(USERS, [OURS])).rejects.toThrow(BackupFolderError)
    await expect(first.finish(manifestOf(OURS))).rejects.toThrow(BackupFolderError)
    await first.discard()
    expect(await faultsIn(to)).toEqual([])
  })
})

describe('a file that is not what was written any more is found out before there is a backup', () => {
  it.each([
    ['removed', (path: string) => rm(path)],
    [
      'replaced',
      async (path: string) => {
        await rm(path)
        await writeFile(path, THEIRS)
      },
    ],
    ['cut off', (path: string) => writeFile(path, 'us')],
  ])('%s', async (_, change) => {
    const to = join(await tempDir(), 'to')
    const folder = await BackupFolder.open(to)
    await folder.write(USERS, [OURS])
    await change(join(to, USERS))
    await expect(folder.finish(manifestOf(OURS))).rejects.toThrow(
      `${to}: users.acl was changed by somebody else`,
    )
    expect(await readdir(to)).not.toContain('backup.json')
    await folder.discard()
  })
})

it('nothing is written through a link, nor into a file that is there already', async () => {
  const dir = await tempDir()
  const elsewhere = join(dir, 'elsewhere')
  await writeFile(elsewhere, 'dear')
  const folder = await BackupFolder.open(join(dir, 'to'))
  await symlink(elsewhere, join(dir, 'to', USERS))
  await expect(folder.write(USERS, [OURS])).rejects.toThrow(BackupFolderError)
  expect(await readFile(elsewhere, 'utf8')).toBe('dear')
  await folder.discard()
  expect(await readdir(join(dir, 'to'))).toEqual([USERS])
})

it('what an earlier try has written goes, and only that', async () => {
  const to = join(await tempDir(), 'to')
  const folder = await BackupFolder.open(to)
  await folder.write('shard-0.rdb', [OURS])
  await folder.write('shard-7.rdb', [OURS])
  await folder.clear()
  expect(await readdir(to)).toEqual([NOTE])
  await folder.write('shard-0.rdb', [THEIRS])
  expect((await stat(join(to, 'shard-0.rdb'))).size).toBe(THEIRS.length)
  await folder.discard()
})
