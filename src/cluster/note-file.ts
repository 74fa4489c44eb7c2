import { createHash } from 'node:crypto'
import { lstat, open, readFile, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { makeFolder } from './make-folder.js'

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
   * @returns the note of whoever has it, or is about to take it over, where that is not over
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
      const other = await removeNote(path, found, note, isOver)
      if (other !== null) return other
    }
    return new NoteFile(path, note)
  }

  /** Whether nobody has taken it over. */
  async isOurs(): Promise<boolean> {
    return (await noteAt(this.path)) === this.note
  }

  async release(): Promise<void> {
    if (await this.isOurs()) await rm(this.path, { force: true })
  }
}

/** Removes a note that is over; any other stays. @param mine as for `take` */
export async function removeOldNote(path: string, mine: string, isOver: IsOver): Promise<void> {
  const found = await noteAt(path)
  if (found !== null && found !== '' && (await isOver(found))) await removeNote(path, found, mine, isOver)
}

/**
 * Removes just this note, which is over. A file cannot be removed on the condition of what is in it; so whoever removes it first takes a
 * note that is named after it, which one alone can have, and looks again. Whoever has looked before that, and comes later, finds another note.
 * @param mine by which it takes that one
 * @returns the note of whoever is at it
 */
async function removeNote(path: string, note: string, mine: string, isOver: IsOver): Promise<string | null> {
  const right = createHash('sha256').update(note).digest('hex').slice(0, 16)
  const taken = await NoteFile.take(`${path}.${right}`, mine, isOver)
  if (typeof taken === 'string') return taken
  try {
    if ((await noteAt(path)) === note) await rm(path, { force: true })
  } finally {
    await taken.release()
  }
  return null
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
    // One that stood still while it was empty may have been taken for dead.
    return (await noteAt(path)) === note
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST') return false
    if (code !== 'ENOENT') throw error
    // One that failed has just removed the folder, as it was empty.
    await makeFolder(dirname(path))
    return false
  }
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
