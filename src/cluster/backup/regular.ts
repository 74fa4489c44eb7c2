import { readFile, stat } from 'node:fs/promises'

/** @throws where there is something else than a file: a pipe would be waited for, and a device has no end */
export async function sizeOfFile(path: string): Promise<number> {
  const found = await stat(path)
  if (!found.isFile()) throw new Error('it is no file')
  return found.size
}

/** @throws as `sizeOfFile` */
export async function readRegular(path: string): Promise<Buffer> {
  await sizeOfFile(path)
  return readFile(path)
}
