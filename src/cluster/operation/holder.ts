import { randomUUID } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { z } from 'zod'
import { isAlive, type ProcessIdentity, processStamp } from '../processes.js'

/** Who does something to a cluster, or in a folder: what, where, since when. */
export interface Holder {
  /** `rebalance`, as on the command line. */
  readonly operation: string
  readonly host: string
  readonly pid: number
  /** ISO 8601, by the clock of that host. */
  readonly since: string
}

/** What is written into the cluster, or the folder. */
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

/** The process, whose pid is of the host where the note was written; null where the note does not tell. */
export function processOf(text: string): ProcessIdentity | null {
  const { pid, stamp } = parse(text)
  return pid === undefined || stamp === undefined ? null : { pid, stamp }
}

/** Whether it was written on this host, by a process that is no more. What happens on other hosts cannot be seen from here. */
export async function isLeftBehind(text: string): Promise<boolean> {
  const holder = processOf(text)
  return holder !== null && isOfThisHost(text) && !(await isAlive(holder))
}

/** Whether its process, if there is one, can be seen from here. */
export function isOfThisHost(text: string): boolean {
  const { host, pids } = parse(text)
  return host === hostname() && pids === pidSpace()
}

const note = z.object({
  operation: z.string().optional().catch(undefined),
  host: z.string().optional().catch(undefined),
  pid: z.int().positive().optional().catch(undefined),
  stamp: z.string().optional().catch(undefined),
  since: z.string().optional().catch(undefined),
  pids: z.string().optional().catch(undefined),
})

/** What can be used of it: anybody may have written it. */
function parse(text: string): z.infer<typeof note> {
  try {
    return note.parse(JSON.parse(text))
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
