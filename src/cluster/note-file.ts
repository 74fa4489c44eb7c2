import { randomUUID } from 'node:crypto'
import { lstat, mkdir, open, readFile, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** A note that is still empty after so long was left by a process that was killed between making it and writing it. */
const WRITING_MS = 1_000
const POLL_MS = 20

/** Whether nobody works any more whose note this is. */
export type IsOver = (note: string) => Promise<boolean>

/** A file that says who works in its folder, which is made where it is not there. One at a time has it. */
export class NoteFile {
  private constructor(
    readonly path: string,
    private readonly note: string,
  ) {}

  /**
   * @param note no two may be the same
   * @returns the note of whoever has it, where that is not over
   */
  static async take(path: string, note: string, isOver: IsOver): Promise<NoteFile | string> {
    const deadline = performance.now() + WRITING_MS
    while (!(await create(path, note))) {
      const found = await noteAt(path)
      if (found === null) continue
      if (found === '' && performance.now() < deadline) {
        await sleep(POLL_MS)
        continue
      }
      if (found !== '' && !(await isOver(found))) return found
      await setAside(path, found)
    }
    return new NoteFile(path, note)
  }

  /** Whether nobody has taken it over. */
  async isOurs(): Promise<boolean> {
    return (await noteAt(this.path)) === this.note
  }

  async release(): Promise<void> {
    if (await this.isOurs()) await setAside(this.path, this.note)
  }
}

/** Removes a note that is over; any other stays. */
export async function removeOldNote(path: string, isOver: IsOver): Promise<void> {
  const found = await noteAt(path)
  if (found !== null && found !== '' && (await isOver(found))) await setAside(path, found)
}

/** @returns false where there is one already */
async function create(path: string, note: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx', 0o600)
    try {
      await file.writeFile(note)
    } catch (error) {
      // A disk that is full takes the name of a file, and nothing of what is in it.
      await rm(path, { force: true })
      throw error
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

/** By renaming, which one alone of several succeeds at; what was renamed may be a new note by then, and goes back. */
async function setAside(path: string, note: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`
  try {
    await rename(path, aside)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  if ((await noteAt(aside)) !== note) await rename(aside, path)
  else await rm(aside, { force: true })
}

/**
 * Null where there is none; empty while it is being written.
 * @throws where there is something else than a file: a pipe would be waited for, and a link shows what somebody else has written
 */
async function noteAt(path: string): Promise<string | null> {
  try {
    if (!(await lstat(path)).isFile()) throw new Error(`${path} is no file`)
    return await readFile(path, 'utf8')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw error
  }
}
