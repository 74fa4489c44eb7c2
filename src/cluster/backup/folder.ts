import { mkdir, open, readdir, readFile, rename, rm, rmdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { BackupFolderError } from '../errors.js'
import { isAlive, type ProcessIdentity, processStamp } from '../processes.js'
import { type BackupManifest, MANIFEST, MANIFEST_SUM, sumLine } from './manifest.js'

/** There while a backup is being made, with who makes it. */
const UNDER_WAY = 'backup.partial'
/** What a backup that was broken off may leave; nothing else is ever removed. */
const OURS = /^(shard-\d+\.rdb|users\.acl|backup\.json\.(new|sha256)|backup\.partial)$/

/** Where a backup is put. What is in it is readable by its owner alone: it holds all data, and hashes of passwords. */
export class BackupFolder {
  private constructor(
    readonly path: string,
    private readonly made: boolean,
  ) {}

  /**
   * Makes the folder, or takes one that is empty; what a backup that was killed has left there is removed.
   * @throws BackupFolderError when something else is in it, a backup above all: none is ever written over
   */
  static async open(to: string): Promise<BackupFolder> {
    const path = resolve(to)
    const fail = (problem: string, cause?: unknown) => new BackupFolderError(path, [problem], { cause })
    let made: boolean
    let names: string[]
    try {
      made = (await mkdir(path, { recursive: true, mode: 0o700 })) !== undefined
      names = await readdir(path)
    } catch (error) {
      throw fail((error as Error).message, error)
    }
    if (names.includes(MANIFEST)) throw fail('a backup is here already; choose a new folder')
    if (names.includes(UNDER_WAY)) {
      const maker = await makerOf(path)
      if (maker && (await isAlive(maker))) throw fail(`process ${maker.pid} is making a backup here`)
      for (const name of names.filter((each) => OURS.test(each))) await rm(join(path, name), { force: true })
      names = names.filter((name) => !OURS.test(name))
    }
    if (names.length > 0) throw fail(`it holds other things (${names[0]}); choose a new folder`)
    const maker: ProcessIdentity = { pid: process.pid, stamp: (await processStamp(process.pid)) ?? '' }
    const folder = new BackupFolder(path, made)
    try {
      // Of two that begin at once, the second finds the file there.
      await writeFile(join(path, UNDER_WAY), JSON.stringify(maker), { mode: 0o600, flag: 'wx' })
    } catch (error) {
      // A disk that is full takes the name of a file, and nothing of what is in it.
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') await folder.discard()
      throw fail((error as Error).message, error)
    }
    return folder
  }

  /** @throws BackupFolderError when the disk is full, for one */
  async write(name: string, chunks: AsyncIterable<Buffer> | readonly Buffer[]): Promise<void> {
    const file = await this.#onDisk(open(join(this.path, name), 'w', 0o600))
    try {
      for await (const chunk of chunks) await this.#onDisk(writeAll(file, chunk))
      await this.#onDisk(file.sync())
    } finally {
      await file.close()
    }
  }

  /** From here on there is a backup: all files are on disk before the manifest has its name. */
  async finish(manifest: BackupManifest): Promise<void> {
    const text = `${JSON.stringify(manifest, null, 2)}\n`
    await this.write(MANIFEST_SUM, [Buffer.from(sumLine(text))])
    await this.write(`${MANIFEST}.new`, [Buffer.from(text)])
    await this.#onDisk(rename(join(this.path, `${MANIFEST}.new`), join(this.path, MANIFEST)))
    await rm(join(this.path, UNDER_WAY), { force: true })
    await syncFolder(this.path)
  }

  /** Removes all that was written, and the folder if we had made it. */
  async discard(): Promise<void> {
    for (const name of (await readdir(this.path)).filter((each) => OURS.test(each)))
      await rm(join(this.path, name), { force: true })
    if (this.made) await rmdir(this.path).catch(() => {})
  }

  async #onDisk<T>(work: Promise<T>): Promise<T> {
    try {
      return await work
    } catch (error) {
      throw new BackupFolderError(this.path, [(error as Error).message], { cause: error })
    }
  }
}

async function writeAll(file: Awaited<ReturnType<typeof open>>, chunk: Buffer): Promise<void> {
  for (let at = 0; at < chunk.length; ) at += (await file.write(chunk, at)).bytesWritten
}

async function makerOf(path: string): Promise<ProcessIdentity | null> {
  try {
    return JSON.parse(await readFile(join(path, UNDER_WAY), 'utf8')) as ProcessIdentity
  } catch {
    return null // Killed while it wrote the first line.
  }
}

/** The names, too, have to survive a loss of power. Windows has no way to ask for that, and some file systems none either. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return
  const folder = await open(path, 'r')
  try {
    await folder.sync().catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EINVAL') throw error
    })
  } finally {
    await folder.close()
  }
}
