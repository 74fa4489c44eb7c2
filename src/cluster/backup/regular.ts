import { constants } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'

/** @throws where there is something else than a file: a pipe would be waited for, and a device has no end */
export async function openRegular(path: string): Promise<FileHandle> {
  mustBeFile(await stat(path))
  // Something else may lie there by now. Windows knows no such flag, and has no pipes among its files.
  const file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0))
  try {
    mustBeFile(await file.stat())
    return file
  } catch (error) {
    await file.close()
    throw error
  }
}

/** @throws as `openRegular` */
export async function readRegular(path: string): Promise<Buffer> {
  const file = await openRegular(path)
  try {
    return await file.readFile()
  } finally {
    await file.close()
  }
}

/**
 * Which file it is, and when it was last written to, renamed or linked: another one in its place, or other bytes in it, have another
 * identity. So has one to which somebody has made a hard link, which is the price.
 */
export async function identityOf(file: string | FileHandle): Promise<string> {
  const found = typeof file === 'string' ? await stat(file, BIG) : await file.stat(BIG)
  return [found.dev, found.ino, found.size, found.mtimeNs, found.ctimeNs].join(':')
}

const BIG = { bigint: true } as const

function mustBeFile(found: { isFile(): boolean }): void {
  if (!found.isFile()) throw new Error('it is no file')
}
