import { execFile } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { readFile, readlink, realpath, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { isThere } from './is-there.js'

const run = promisify(execFile)

/**
 * A process for as long as it lives: systems give a pid out again, so a pid alone names nobody. The stamp is
 * the time at which the process started, in whatever form the system tells it.
 */
export interface ProcessIdentity {
  readonly pid: number
  readonly stamp: string
}

/** The stamp of the process that has this pid now; null when there is none or it is a zombie. */
export async function processStamp(pid: number): Promise<string | null> {
  if (!Number.isInteger(pid) || pid <= 0) return null
  if (process.platform === 'linux') return linuxStamp(pid)
  try {
    if (process.platform === 'win32') {
      const script = `(Get-Process -Id ${pid}).StartTime.ToFileTimeUtc()`
      return (await run('powershell', ['-NoProfile', '-Command', script])).stdout.trim() || null
    }
    const { stdout } = await run('ps', ['-p', String(pid), '-o', 'state=,lstart='], { env: { LC_ALL: 'C' } })
    const text = stdout.trim()
    return text === '' || text.startsWith('Z') ? null : text.replace(/^\S+\s+/, '')
  } catch {
    return null
  }
}

function linuxStamp(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The second field is the command in parentheses and may hold anything; count from behind it.
    const [state, ...rest] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    // Its first thread may be gone while others have its files and ports still: it is a process until the last of them is.
    const isOver = state === 'X' || (state === 'Z' && readdirSync(`/proc/${pid}/task`).length <= 1)
    if (isOver) return null
    const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    return `${bootId}:${rest[18]}` // starttime, field 22 of the line: clock ticks since boot
  } catch {
    return null
  }
}

/** Linux counts the start of a process in these, whatever its kernel was built with. */
const TICK_MS = 10

/** When a process of this machine was started, by the clock as it goes now; null where the system does not tell so exactly: Linux alone does. */
export async function startedAtMs(pid: number): Promise<number | null> {
  if (process.platform !== 'linux') return null
  const ticks = (await processStamp(pid))?.split(':')[1]
  if (ticks === undefined) return null
  const [upSeconds] = (await readFile('/proc/uptime', 'utf8')).split(' ')
  return Date.now() - Number(upSeconds) * 1000 + Number(ticks) * TICK_MS
}

/** Whether exactly this process still runs. */
export async function isAlive(identity: ProcessIdentity): Promise<boolean> {
  return (await processStamp(identity.pid)) === identity.stamp
}

/**
 * Whether a process works in this very folder, wherever that has been moved since, or in one that was there and has been removed. A server's redis.conf
 * cannot tell: it names the folder in which it was written, and a copy of a folder has a copy of it. Undefined where the system does not tell:
 * Linux alone does, and not of the processes of other users.
 */
export async function worksIn(pid: number, dir: string): Promise<boolean | undefined> {
  if (process.platform !== 'linux') return undefined
  try {
    const its = await stat(`/proc/${pid}/cwd`, { bigint: true })
    const ours = await stat(dir, { bigint: true }).catch(() => null)
    if (its.dev === ours?.dev && its.ino === ours.ino) return true
    const removed = await removedDir(pid)
    return removed !== null && removed === join(await realpath(dirname(dir)), basename(dir))
  } catch {
    return undefined
  }
}

const REMOVED = ' (deleted)'

/** The path of the folder in which a process works, if that has been removed; else null. @throws where the system does not tell */
async function removedDir(pid: number): Promise<string | null> {
  const path = await readlink(`/proc/${pid}/cwd`)
  // Its name may end so.
  return path.endsWith(REMOVED) && !(await isThere(path)) ? path.slice(0, -REMOVED.length) : null
}

/** Whether the folder in which a process works has been removed. Undefined where the system does not tell. */
export const worksInRemoved = (pid: number): Promise<boolean | undefined> =>
  removedDir(pid).then(
    (path) => path !== null,
    () => undefined,
  )

/** The folder in which a process works; null where the system does not tell, or the folder is no longer there. */
export async function workingDir(pid: number): Promise<string | null> {
  try {
    return (await removedDir(pid)) === null ? await readlink(`/proc/${pid}/cwd`) : null
  } catch {
    return null
  }
}

/** Waits until the process is gone. Returns false when it still runs after `timeoutMs`. */
export async function waitUntilGone(identity: ProcessIdentity, timeoutMs: number): Promise<boolean> {
  const deadline = performance.now() + timeoutMs
  while (await isAlive(identity)) {
    if (performance.now() > deadline) return false
    await sleep(10)
  }
  return true
}

/** Sends a signal, unless the pid has meanwhile gone to somebody else. Returns whether it was sent. */
export async function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): Promise<boolean> {
  if (!(await isAlive(identity))) return false
  try {
    return process.kill(identity.pid, signal)
  } catch {
    return false
  }
}

const PID_FILE = 'redis.pid'

/** Writes `redis.pid` into a node's folder: the pid on the first line, the stamp on the second. */
export async function writePidFile(dir: string, identity: ProcessIdentity): Promise<void> {
  await writeFile(join(dir, PID_FILE), `${identity.pid}\n${identity.stamp}\n`)
}

/**
 * The process that a folder's `redis.pid` names, if that very process still runs. A file whose pid belongs to
 * another process by now, or that bears no stamp, names nobody; nor does one that was copied here with its folder, whose process
 * works in the folder that was copied.
 */
export async function processFromPidFile(dir: string): Promise<ProcessIdentity | null> {
  try {
    const [pid, stamp] = (await readFile(join(dir, PID_FILE), 'utf8')).split('\n')
    const identity = { pid: Number(pid), stamp: stamp ?? '' }
    if (!(await isAlive(identity)) || (await worksIn(identity.pid, dir)) === false) return null
    return identity
  } catch {
    return null
  }
}
