import { type FileHandle, link, lstat, open, rename, rmdir } from 'node:fs/promises'
import { BackupFolderError } from '../errors.js'

const codeOf = (error: unknown) => (error as NodeJS.ErrnoException).code ?? ''

/** @throws BackupFolderError for whatever goes wrong */
export async function onDisk<T>(folder: string, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    if (error instanceof BackupFolderError) throw error
    throw new BackupFolderError(folder, [(error as Error).message], { cause: error })
  }
}

/** Whether a name stands for the file that is open here. */
export async function isAt(path: string, handle: FileHandle): Promise<boolean> {
  try {
    const [found, ours] = await Promise.all([lstat(path, { bigint: true }), handle.stat({ bigint: true })])
    return found.dev === ours.dev && found.ino === ours.ino
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false
    throw error
  }
}

/** A system of files without links, as exFAT. */
const NO_LINKS: readonly string[] = ['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']

/** Gives a file another name. @throws EEXIST where that is taken, which `rename` would write over */
export async function nameOnce(from: string, to: string): Promise<void> {
  try {
    await link(from, to)
  } catch (error) {
    if (!NO_LINKS.includes(codeOf(error))) throw error
    const taken = await lstat(to).catch((missing: unknown) => {
      if (codeOf(missing) !== 'ENOENT') throw missing
    })
    if (taken) throw Object.assign(new Error(`${to} is there`), { code: 'EEXIST' })
    await rename(from, to)
  }
}

/**
 * The names, too, have to survive a loss of power. Windows has no way to ask for that, some file systems none either, and for a folder
 * that we may write into, but not read, nobody takes the question.
 */
export async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return
  let folder: FileHandle
  try {
    folder = await open(path, 'r')
  } catch (error) {
    if (codeOf(error) === 'EACCES') return
    throw error
  }
  try {
    await folder.sync()
  } catch (error) {
    if (codeOf(error) !== 'EINVAL') throw error
  } finally {
    await folder.close()
  }
}

/** Not where somebody has put something into it since, or has removed it themselves. */
export async function removeIfEmpty(path: string): Promise<void> {
  try {
    await rmdir(path)
  } catch (error) {
    if (!['ENOTEMPTY', 'EEXIST', 'ENOENT'].includes(codeOf(error))) throw error
  }
}
