import { type FileHandle, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { isAt, onDisk } from './disk.js'

/**
 * Files that we have made in a folder, and may remove. Each stays open, since no other file can have its inode for as long: by that it
 * is known whether a name still stands for what we wrote. The price: a file descriptor for each.
 */
export class OwnFiles {
  readonly #files = new Map<string, { readonly handle: FileHandle; bytes: number }>()

  constructor(private readonly folder: string) {}

  /** A new file, with all of it on disk. @throws BackupFolderError when the disk is full, for one, or the name is taken */
  async write(name: string, chunks: AsyncIterable<Buffer> | readonly Buffer[]): Promise<void> {
    // Exclusively: not into a file of somebody else, and through no link.
    const handle = await onDisk(this.folder, open(join(this.folder, name), 'wx', 0o600))
    const file = { handle, bytes: 0 }
    this.#files.set(name, file)
    for await (const chunk of chunks) {
      await onDisk(this.folder, writeAll(handle, chunk))
      file.bytes += chunk.length
    }
    await onDisk(this.folder, handle.sync())
  }

  /** Names that stand for something else by now, or for nothing, or for another number of bytes. */
  async changed(): Promise<readonly string[]> {
    const names: string[] = []
    for (const [name, { handle, bytes }] of this.#files)
      if (!(await isAt(join(this.folder, name), handle)) || (await handle.stat()).size !== bytes)
        names.push(name)
    return names
  }

  /** Whether what we wrote under one name has another one too, or instead. */
  async hasName(name: string, as: string): Promise<boolean> {
    const file = this.#files.get(name)
    return file !== undefined && (await isAt(join(this.folder, as), file.handle))
  }

  /** @returns whether it was there, and ours */
  async remove(name: string, as = name): Promise<boolean> {
    const isOurs = await this.hasName(name, as)
    if (isOurs) await rm(join(this.folder, as), { force: true })
    return isOurs
  }

  async removeAll(): Promise<void> {
    for (const name of this.#files.keys()) await this.remove(name)
    await this.close()
  }

  async close(): Promise<void> {
    const open = [...this.#files.values()]
    this.#files.clear()
    await Promise.all(open.map(({ handle }) => handle.close()))
  }
}

async function writeAll(file: FileHandle, chunk: Buffer): Promise<void> {
  for (let at = 0; at < chunk.length; ) at += (await file.write(chunk, at)).bytesWritten
}
