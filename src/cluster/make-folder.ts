import { lstat, mkdir, stat } from 'node:fs/promises'
import { dirname, resolve } from 'node:path'
import { InvalidOptionError } from '../errors.js'

/**
 * Makes a folder that only its owner may look into, with those above it that are missing, one by one. Not by `mkdir` with `recursive`: where the system
 * says ENOENT although the folder above is there, as in /proc, Node 20 tries that for ever, in a thread that no signal ends.
 * @returns the first that was made, as an absolute path; undefined: all were there
 * @throws what the system says, with the path of which it says it
 */
export async function makeFolder(path: string): Promise<string | undefined> {
  const missing: string[] = []
  let at = resolve(path)
  while (!(await isThere(at)) && at !== dirname(at)) {
    missing.unshift(at)
    at = dirname(at)
  }
  // Something else than a folder has the name.
  if (missing.length === 0 && !(await stat(at)).isDirectory()) await mkdir(at)
  let first: string | undefined
  for (const folder of missing) if (await make(folder)) first ??= folder
  return first
}

/** The same, for a folder that an option names. @throws InvalidOptionError */
export async function makeFolderOf(option: string, path: string): Promise<void> {
  await makeFolder(path).catch((cause: Error) => {
    throw new InvalidOptionError(option, `cannot make the folder ${path}: ${cause.message}`, { cause })
  })
}

async function isThere(path: string): Promise<boolean> {
  return isNotMissing(stat(path))
}

/** @returns whether it was us */
async function make(folder: string): Promise<boolean> {
  try {
    await mkdir(folder, { mode: 0o700 })
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    // Made by somebody else meanwhile, who may have removed it again; or it is a link to nothing.
    if (!(await isThere(folder)) && (await isNotMissing(lstat(folder)))) throw error
    return false
  }
}

async function isNotMissing(look: Promise<unknown>): Promise<boolean> {
  try {
    await look
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}
