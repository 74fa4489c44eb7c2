import { lstat, open, readdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { BackupFolder } from '../../../src/cluster/backup/folder.js'
import { BackupFolderError, BackupUnsettledError } from '../../../src/cluster/errors.js'
import { backupCluster } from '../../../src/cluster/index.js'
import { faultsIn, manifestOf, USERS } from '../../helpers/backup-content.js'
import { onFolderSync } from '../../helpers/folder-sync.js'
import { tempDir } from '../../helpers/temp-dir.js'

type Call = (...args: string[]) => Promise<unknown>
const disk = vi.hoisted(() => ({ calls: new Map<string, (done: Call) => Call>() }))
/** Calls to the disk that go otherwise in a test. */
vi.mock('node:fs/promises', async (importOriginal) => {
  const actual = await importOriginal<typeof import('node:fs/promises')>()
  const faulty = (name: 'link' | 'lstat' | 'rm' | 'rmdir') => {
    const done = actual[name] as unknown as Call
    return (...args: string[]) => (disk.calls.get(name)?.(done) ?? done)(...args)
  }
  return { ...actual, link: faulty('link'), lstat: faulty('lstat'), rm: faulty('rm'), rmdir: faulty('rmdir') }
})
beforeEach(() => disk.calls.clear())

const fault = (code: string) => Object.assign(new Error(`${code}: of the test`), { code })
const failing = (code: string) => (): Call => () => Promise.reject(fault(code))
const OURS = Buffer.from('user ours')
const WHOLE = ['backup.json', 'backup.json.sha256', USERS]

interface Begun {
  readonly to: string
  readonly folder: BackupFolder
}

async function begun(): Promise<Begun> {
  const to = join(await tempDir(), 'new', 'to')
  const folder = await BackupFolder.open(to)
  await folder.write(USERS, [OURS])
  return { to, folder }
}

const isThere = async (to: string) => (await readdir(to)).includes('backup.json')

describe('once the manifest has its name, nothing is removed', () => {
  it.each(['EIO', 'ENOSPC'])('where its name cannot be brought to disk: %s', async (code) => {
    const { to, folder } = await begun()
    await onFolderSync(async () => {
      if (await isThere(to)) throw fault(code)
    })
    await folder.finish(manifestOf(OURS))
    const told = await folder.settle().catch((error) => error)
    expect(told).toBeInstanceOf(BackupUnsettledError)
    expect(told.message).toContain(`${to}: the backup is there`)
    expect(told.message).toContain(`may not survive a loss of power (${code}: of the test)`)
    expect(told.message).toContain(`shardq cluster backup verify '${to}'`)
    expect((await readdir(to)).sort()).toEqual(WHOLE)
    expect(await faultsIn(to)).toEqual([])
  })

  it('where what is not needed any more cannot be removed', async () => {
    const { to, folder } = await begun()
    await folder.finish(manifestOf(OURS))
    disk.calls.set('rm', failing('EIO'))
    const told = await folder.settle().catch((error) => error)
    disk.calls.clear()
    expect(told).toBeInstanceOf(BackupUnsettledError)
    expect(told.message).toContain('EIO: of the test')
    expect(await faultsIn(to)).toEqual([])
  })
})

describe('before it has', () => {
  it('its folder, and what that is in, are brought to disk; where that fails there is no backup', async () => {
    const synced = new Set<number>()
    await onFolderSync(async (ino) => synced.add(ino))
    const { to, folder } = await begun()
    for (const path of [dirname(to), dirname(dirname(to))]) expect(synced).toContain((await stat(path)).ino)
    synced.clear()
    await folder.finish(manifestOf(OURS))
    await folder.settle()
    expect(synced).toContain((await stat(to)).ino)

    await onFolderSync(() => Promise.reject(fault('EIO')))
    const other = join(dirname(to), 'other')
    await expect(BackupFolder.open(join(other, 'to'))).rejects.toThrow(BackupFolderError)
    await expect(readdir(join(other, 'to'))).rejects.toThrow(/ENOENT/)
  })

  it('a disk that does not take the names ends it, and nothing is left', async () => {
    const { to, folder } = await begun()
    await onFolderSync(() => Promise.reject(fault('EIO')))
    await expect(folder.finish(manifestOf(OURS))).rejects.toThrow(BackupFolderError)
    expect(await isThere(to)).toBe(false)
    await folder.discard()
    await expect(readdir(to)).rejects.toThrow(/ENOENT/)
  })

  it('a manifest of somebody else is not written over', async () => {
    for (const noLinks of [false, true]) {
      const { to, folder } = await begun()
      if (noLinks) disk.calls.set('link', failing('EPERM'))
      const theirs = await open(join(to, 'backup.json'), 'wx')
      await theirs.close()
      await expect(folder.finish(manifestOf(OURS))).rejects.toThrow(/somebody else has put a backup here/)
      await folder.discard()
      expect(await readdir(to)).toEqual(['backup.json'])
    }
  })
})

describe('whether it has its name', () => {
  it('is so without links, as on exFAT', async () => {
    disk.calls.set('link', failing('EPERM'))
    const { to, folder } = await begun()
    await folder.finish(manifestOf(OURS))
    await folder.settle()
    expect((await readdir(to)).sort()).toEqual(WHOLE)
    expect(await faultsIn(to)).toEqual([])
  })

  it('is looked at where a file server does it and its reply is lost', async () => {
    disk.calls.set('link', (done) => async (...args) => {
      await done(...args)
      throw fault('EEXIST')
    })
    const { to, folder } = await begun()
    await folder.finish(manifestOf(OURS))
    await folder.settle()
    expect((await readdir(to)).sort()).toEqual(WHOLE)
    expect(await faultsIn(to)).toEqual([])
  })

  it('is unknown where that cannot be asked either: it goes first, and before it nothing', async () => {
    const { to, folder } = await begun()
    disk.calls.set('link', (done) => async (...args) => {
      await done(...args)
      disk.calls.set('lstat', failing('EIO'))
      throw fault('EIO')
    })
    await expect(folder.finish(manifestOf(OURS))).rejects.toThrow(BackupFolderError)
    await expect(folder.discard()).rejects.toThrow(BackupFolderError)
    disk.calls.clear()
    expect(await faultsIn(to)).toEqual([])
    expect(await lstat(join(to, 'backup.partial'))).toBeDefined()
  })
})

it('what cannot be removed is told beside why there is no backup', async () => {
  disk.calls.set('rmdir', failing('EIO'))
  const to = join(await tempDir(), 'to')
  const told = await backupCluster([{ host: '127.0.0.1', port: 1 }], to).catch((error) => error)
  expect(told).toBeInstanceOf(BackupFolderError)
  expect(told.message).toMatch(/127\.0\.0\.1:1.*what was written could not be removed: .*EIO: of the test/)
})
