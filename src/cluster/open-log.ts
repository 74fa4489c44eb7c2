import { readdir, readlink } from 'node:fs/promises'

/**
 * A part of a log that is in effect: `appendonly.aof.3.incr.aof`, or the base while it is loaded. The first log of a server that runs already
 * is called otherwise until it has all of the data (`temp-appendonly.aof.incr`); what was removed, ` (deleted)`.
 */
const IN_EFFECT = /\.\d+\.(base|incr)\.(aof|rdb)$/

/**
 * Whether a server has its append-only file open: that it is switched on, and has all of the data. It is not asked for that, so it can be told of one
 * that is frozen or turns us away, too. Undefined where the system does not tell: Linux alone does, and not of the processes of other users.
 */
export async function hasLogOpen(pid: number): Promise<boolean | undefined> {
  const files = `/proc/${pid}/fd`
  try {
    const numbers = await readdir(files)
    // One that it has closed meanwhile.
    const paths = await Promise.all(numbers.map((each) => readlink(`${files}/${each}`).catch(() => '')))
    return paths.some((path) => IN_EFFECT.test(path))
  } catch {
    return undefined
  }
}
