import { readdir, rm } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { shellWord } from '../../shell.js'
import { BackupFolderError, BackupUnsettledError } from '../errors.js'
import { makeFolder } from '../make-folder.js'
import { NoteFile } from '../note-file.js'
import { isLeftBehind, isOfThisHost, makeNote, readNote } from '../operation/holder.js'
import { nameOnce, onDisk, removeIfEmpty, syncFolder } from './disk.js'
import { type BackupManifest, MANIFEST, MANIFEST_SUM, sumLine } from './manifest.js'
import { OwnFiles } from './own-files.js'

/** There while a backup is being made, with who makes it. */
const UNDER_WAY = 'backup.partial'
/** It, or one that is being taken over. */
const NOTES = /^backup\.partial(\.[0-9a-f]{16})*$/
/** The manifest until all is proven. */
const UNPROVEN = `${MANIFEST}.new`
/** What a backup that was broken off may leave; nothing else is ever removed. */
const LEFT = /^(shard-\d+\.rdb|users\.acl|backup\.json\.(new|sha256))$/

/** Where a backup is put. What is in it is readable by its owner alone: it holds all data, and hashes of passwords. */
export class BackupFolder {
  readonly #files: OwnFiles

  private constructor(
    readonly path: string,
    private readonly made: boolean,
    private readonly note: NoteFile,
  ) {
    this.#files = new OwnFiles(path)
  }

  /**
   * Makes the folder, or takes one that is empty; what a backup that was killed on this host has left there is removed.
   * @throws BackupFolderError when something else is in it, a backup above all: none is ever written over
   */
  static async open(to: string): Promise<BackupFolder> {
    const path = resolve(to)
    return onDisk(path, BackupFolder.#open(path))
  }

  static async #open(path: string): Promise<BackupFolder> {
    const first = await makeFolder(path)
    const made = first !== undefined
    let note: NoteFile | undefined
    try {
      const isLeft = await look(path)
      await syncUpTo(dirname(first ?? path), dirname(path))
      const taken = await NoteFile.take(join(path, UNDER_WAY), await makeNote('backup'), isLeftBehind)
      if (typeof taken === 'string') throw new BackupFolderError(path, [atWork(path, taken)])
      note = taken
      // Whoever had it until now may have come to their end meanwhile.
      await look(path, isLeft)
      for (const name of await readdir(path)) if (LEFT.test(name)) await rm(join(path, name), { force: true })
      return new BackupFolder(path, made, note)
    } catch (error) {
      await note?.release()
      if (made) await removeIfEmpty(path)
      throw error
    }
  }

  /** @throws BackupFolderError when the disk is full, for one */
  write(name: string, chunks: AsyncIterable<Buffer> | readonly Buffer[]): Promise<void> {
    return this.#files.write(name, chunks)
  }

  /** Removes what was written, to begin anew. */
  clear(): Promise<void> {
    return onDisk(this.path, this.#files.removeAll())
  }

  /**
   * From here on there is a backup: all files are on disk, and are ours, before the manifest has its name.
   * @throws BackupFolderError also where somebody else has written here meanwhile
   */
  async finish(manifest: BackupManifest): Promise<void> {
    const text = `${JSON.stringify(manifest, null, 2)}\n`
    await this.write(MANIFEST_SUM, [Buffer.from(sumLine(text))])
    await this.write(UNPROVEN, [Buffer.from(text)])
    await onDisk(this.path, syncFolder(this.path))
    await onDisk(this.path, this.#commit())
  }

  /** What comes after. Nothing of the backup is removed, whatever happens. @throws BackupUnsettledError */
  async settle(): Promise<void> {
    const faults: string[] = []
    const told = (what: string, work: Promise<unknown>) =>
      work.catch((error: Error) => faults.push(`${what} (${error.message})`))
    await told('may not survive a loss of power', syncFolder(this.path))
    await told(`still has ${UNPROVEN} beside it`, this.#files.remove(UNPROVEN))
    await told(`still has ${UNDER_WAY} beside it`, this.note.release())
    await told('was not closed', this.#files.close())
    if (faults.length > 0) throw new BackupUnsettledError(this.path, faults)
  }

  /**
   * In place of `finish`, or after it has failed: removes all that was written, and the folder if we had made it.
   * @throws BackupFolderError
   */
  discard(): Promise<void> {
    return onDisk(this.path, this.#discard())
  }

  async #discard(): Promise<void> {
    try {
      // First: without its files it would say that a backup is here. Where that cannot be known, all stays.
      if (await this.#files.remove(UNPROVEN, MANIFEST)) await syncFolder(this.path)
      await this.#files.removeAll()
      await this.note.release()
      if (this.made) await removeIfEmpty(this.path)
    } finally {
      await this.#files.close()
    }
  }

  /** Neither what stands on a dead pid nor what people remove by hand is certain, so that it is looked at once more. */
  async #commit(): Promise<void> {
    const fail = (problem: string) => new BackupFolderError(this.path, [`${problem}; choose a new folder`])
    if (!(await this.note.isOurs())) throw fail('somebody else has taken it over while the backup was made')
    const changed = await this.#files.changed()
    if (changed.length > 0)
      throw fail(`${changed.join(', ')} was changed by somebody else while the backup was made`)
    try {
      await nameOnce(join(this.path, UNPROVEN), join(this.path, MANIFEST))
    } catch (error) {
      // The reply of a file server may be lost, and what it was asked for be done.
      if (await this.#files.hasName(UNPROVEN, MANIFEST)) return
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      throw fail('somebody else has put a backup here meanwhile')
    }
  }
}

/**
 * @param isLeft whether there was a note of somebody else, so that what a backup leaves may be removed, once the note is ours
 * @returns whether there is one
 * @throws BackupFolderError when there is anything else
 */
async function look(path: string, isLeft?: boolean): Promise<boolean> {
  const fail = (problem: string) => new BackupFolderError(path, [`${problem}; choose a new folder`])
  const names = await readdir(path)
  const mayBeLeft = isLeft ?? names.some((name) => NOTES.test(name))
  if (names.includes(MANIFEST)) throw fail('a backup is here already')
  const other = names.find((name) => !NOTES.test(name) && !(mayBeLeft && LEFT.test(name)))
  if (other !== undefined) throw fail(`it holds other things (${other})`)
  return mayBeLeft
}

/** Of one elsewhere, nobody knows here whether it is at work still. */
function atWork(path: string, note: string): string {
  const { pid, host, since } = readNote(note)
  const wayOut = isOfThisHost(note)
    ? 'wait until it has ended, or choose a new folder'
    : `choose a new folder; or, when nobody writes here any more: rm -r ${shellWord(path)}`
  return `process ${pid} on ${host} is making a backup here, since ${since}; ${wayOut}`
}

/** From a folder up to one that it is in. */
async function syncUpTo(top: string, path: string): Promise<void> {
  for (let at = path; ; at = dirname(at)) {
    await syncFolder(at)
    if (at === top || at === dirname(at)) return
  }
}
