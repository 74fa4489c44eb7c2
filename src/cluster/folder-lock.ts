import { mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { DataDirError } from './errors.js'
import { isAlive, type ProcessIdentity, processStamp } from './processes.js'

const LOCK_FILE = 'up.lock'
/** A file that is still empty after so long was left by a process that was killed between making it and writing it. */
const WRITING_MS = 1_000
const POLL_MS = 20

/**
 * Runs `use` as the only `up` in a data folder, which is made where it is not there. Two at once would each start a part of the nodes,
 * end them again since the other part is taken, and remove each other's files. The lock of a process that is no more is taken over.
 * @throws DataDirError when another one is at work there, or the folder cannot be written
 */
export async function withFolderLock<T>(
  dataDir: string,
  use: (folder: { readonly made: boolean }) => Promise<T>,
): Promise<T> {
  const path = join(dataDir, LOCK_FILE)
  let made: boolean
  try {
    made = (await mkdir(dataDir, { recursive: true, mode: 0o700 })) !== undefined
    await take(dataDir, path)
  } catch (error) {
    if (error instanceof DataDirError) throw error
    throw new DataDirError(dataDir, (error as Error).message, { cause: error })
  }
  try {
    return await use({ made })
  } finally {
    await rm(path, { force: true })
  }
}

/** Removes a lock that is left over; one that is held stays. */
export async function removeStaleLock(dataDir: string): Promise<void> {
  const path = join(dataDir, LOCK_FILE)
  const holder = await holderOf(path)
  if (holder !== null && !(await isAlive(holder))) await rm(path, { force: true })
}

async function take(dataDir: string, path: string): Promise<void> {
  const me: ProcessIdentity = { pid: process.pid, stamp: (await processStamp(process.pid)) ?? '' }
  const deadline = performance.now() + WRITING_MS
  while (!(await create(path, me))) {
    const holder = await holderOf(path)
    const isWriting = holder === null && performance.now() < deadline
    if (isWriting) {
      await sleep(POLL_MS)
      continue
    }
    if (holder !== null && (await isAlive(holder))) throw atWork(dataDir, holder)
    await setAside(path, holder)
  }
}

/** @returns false where there is one already */
async function create(path: string, me: ProcessIdentity): Promise<boolean> {
  try {
    const file = await open(path, 'wx')
    try {
      await file.writeFile(JSON.stringify(me))
    } finally {
      await file.close()
    }
    return true
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return false
    if (code !== 'ENOENT') throw error
    // One that failed has just removed the folder, as it was empty.
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    return false
  }
}

/** By renaming, which one alone of several succeeds at; what was renamed may be a new lock by then, and goes back. */
async function setAside(path: string, stale: ProcessIdentity | null): Promise<void> {
  const aside = `${path}.${process.pid}`
  try {
    await rename(path, aside)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  const taken = await holderOf(aside)
  const isAnother = taken !== null && (taken.pid !== stale?.pid || taken.stamp !== stale.stamp)
  if (isAnother) await rename(aside, path)
  else await rm(aside, { force: true })
}

/** Null where there is none, or it is being written. */
async function holderOf(path: string): Promise<ProcessIdentity | null> {
  const text = await readFile(path, 'utf8').catch(() => '')
  try {
    const { pid, stamp } = JSON.parse(text) as Partial<ProcessIdentity>
    return typeof pid === 'number' && typeof stamp === 'string' ? { pid, stamp } : null
  } catch {
    return null
  }
}

const atWork = (dataDir: string, { pid }: ProcessIdentity) =>
  new DataDirError(
    dataDir,
    pid === process.pid
      ? 'this process is bringing up the cluster here at this moment; wait for that call'
      : `another \`shardq cluster up\`, process ${pid}, is at work here at this moment; wait until it has ended, then type this again`,
  )
