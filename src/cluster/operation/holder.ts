import { randomUUID } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { isAlive, type ProcessIdentity, processStamp } from '../processes.js'

/** Who does something to a cluster: what, where, since when. */
export interface Holder {
  /** `rebalance`, as on the command line. */
  readonly operation: string
  readonly host: string
  readonly pid: number
  /** ISO 8601, by the clock of that host. */
  readonly since: string
}

/** What is written into the cluster. */
interface Note extends Holder, ProcessIdentity {
  /** Where the pid means something: other hosts, and containers, may have the same name, and each has a process 1. */
  readonly pids: string
  /** Tells two operations of one process apart. */
  readonly token: string
}

export async function makeNote(operation: string): Promise<string> {
  const note: Note = {
    operation,
    host: hostname(),
    pid: process.pid,
    stamp: (await processStamp(process.pid)) ?? '',
    since: new Date().toISOString(),
    pids: pidSpace(),
    token: randomUUID(),
  }
  return JSON.stringify(note)
}

/** A note that cannot be read is somebody's all the same. */
export function readNote(text: string): Holder {
  const { operation = 'an operation', host = '?', pid = 0, since = new Date().toISOString() } = parse(text)
  return { operation, host, pid, since }
}

/** Whether it was written on this host, by a process that is no more. What happens on other hosts cannot be seen from here. */
export async function isLeftBehind(text: string): Promise<boolean> {
  const { host, pids, pid, stamp } = parse(text)
  if (host !== hostname() || pids !== pidSpace() || pid === undefined || stamp === undefined) return false
  return !(await isAlive({ pid, stamp }))
}

/** What of a note has the type that it should: whoever can write the key could else have a command put in place of the process id. */
function parse(text: string): Partial<Note> {
  try {
    const note: unknown = JSON.parse(text)
    if (typeof note !== 'object' || note === null) return {}
    const sound = Object.entries(note).filter(([name, value]) =>
      name === 'pid' ? Number.isSafeInteger(value) && value > 0 : typeof value === 'string',
    )
    return Object.fromEntries(sound)
  } catch {
    return {}
  }
}

/** Every Linux calls its first pid namespace the same, so that the boot of its kernel is needed to tell two of them apart. */
function pidSpace(): string {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    return `${boot} ${readlinkSync('/proc/self/ns/pid')}`
  } catch {
    return ''
  }
}
