import { join } from 'node:path'
import { DataDirError } from './errors.js'
import { makeFolder } from './make-folder.js'
import { NoteFile, removeOldNote } from './note-file.js'
import { makeNote, processOf } from './operation/holder.js'
import { isAlive } from './processes.js'

const LOCK_FILE = 'up.lock'

/**
 * Runs `use` as the only `up` in a data folder, which is made where it is not there. Two at once would each start a part of the nodes,
 * end them again since the other part is taken, and remove each other's files. The lock of a process that is no more is taken over.
 * @throws DataDirError when another one is at work there, or the folder cannot be written
 */
export async function withFolderLock<T>(
  dataDir: string,
  use: (folder: { readonly made: boolean }) => Promise<T>,
): Promise<T> {
  const fail = (problem: string, cause?: unknown) => new DataDirError(dataDir, problem, { cause })
  let made: boolean
  let lock: NoteFile | string
  try {
    made = (await makeFolder(dataDir)) !== undefined
    lock = await NoteFile.take(join(dataDir, LOCK_FILE), await makeNote('up'), isOver)
  } catch (error) {
    throw fail((error as Error).message, error)
  }
  if (typeof lock === 'string') throw fail(atWork(processOf(lock)?.pid))
  try {
    return await use({ made })
  } finally {
    await lock.release()
  }
}

/** Removes a lock that is left over; one that is held stays. */
export const removeStaleLock = async (dataDir: string): Promise<void> =>
  removeOldNote(join(dataDir, LOCK_FILE), await makeNote('up'), isOver)

async function isOver(note: string): Promise<boolean> {
  const holder = processOf(note)
  return holder === null || !(await isAlive(holder))
}

const atWork = (pid: number | undefined) =>
  pid === process.pid
    ? 'this process is bringing up the cluster here at this moment; wait for that call'
    : `another \`shardq cluster up\`, process ${pid}, is at work here at this moment; wait until it has ended, then type this again`
