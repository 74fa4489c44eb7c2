import { open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { LocalCluster } from '../cluster/index.js'
import { LOG_FILE } from '../cluster/node-config.js'

/** What the servers say of the failover themselves, in ms of their wall clock, which on one machine is ours too. */
export interface ServerSightings {
  /** "Marking node ... as failing (quorum reached)". */
  readonly failedMs: number | null
  /** "Starting a failover election": from here on it is voting; before, Redis waits 0.5 to 1 s on purpose. */
  readonly electionMs: number | null
  /** "Failover election won"; a manual failover is one too, without the wait. */
  readonly wonMs: number | null
}

interface Line {
  readonly atMs: number
  readonly text: string
}

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
/** `1234:M 05 Mar 2024 10:11:12.345 * text` */
const LINE = /^\d+:[A-Z] (\d\d) (\w{3}) (\d{4}) (\d\d):(\d\d):(\d\d)\.(\d{3}) . (.*)$/s

/** Null for a line that the server did not stamp, such as a crash report. */
export function parseLogLine(line: string): Line | null {
  const [, day, month = '', year, hour, minute, second, ms, text] = LINE.exec(line) ?? []
  if (text === undefined) return null
  const date = new Date(
    ...([year, MONTHS.indexOf(month), day, hour, minute, second, ms].map(Number) as [number, number]),
  )
  return { atMs: date.getTime(), text }
}

/** The log of each node, from where it ends now. */
export class ServerLogs {
  private constructor(private readonly ends: ReadonlyMap<string, number>) {}

  static async mark({ nodes }: LocalCluster): Promise<ServerLogs> {
    const ends = nodes.map(async ({ dir }) => {
      const path = join(dir, LOG_FILE)
      return [path, (await stat(path)).size] as const
    })
    return new ServerLogs(new Map(await Promise.all(ends)))
  }

  /** @param strikeMs lines before it are left out */
  async read(struckId: string, strikeMs: number): Promise<ServerSightings> {
    const logs = await Promise.all([...this.ends].map(([path, end]) => readFrom(path, end)))
    const lines = logs
      .flatMap((log) => log.split('\n'))
      .map(parseLogLine)
      .filter((line) => line !== null)
      .filter(({ atMs }) => atMs >= Math.floor(strikeMs))
    return sightings(lines, struckId)
  }
}

/** So many bytes from the end of a log hold the last minutes, however talkative the server is. */
const TAIL_BYTES = 256 * 1024

/** When a node last stood for election; null where it has not, since it was started. */
export async function lastElectionMs({ nodes }: LocalCluster, port: number): Promise<number | null> {
  const node = nodes.find((each) => each.port === port)
  if (!node) return null
  const path = join(node.dir, LOG_FILE)
  const text = await readFrom(path, Math.max(0, (await stat(path)).size - TAIL_BYTES))
  const lines = text.split('\n').map(parseLogLine)
  const last = lines.findLast((line) =>
    /Starting a failover election|Server initialized/.test(line?.text ?? ''),
  )
  return last?.text.startsWith('Starting') ? last.atMs : null
}

export function sightings(lines: readonly Line[], struckId: string): ServerSightings {
  const first = (...texts: readonly string[]) => {
    const times = lines
      .filter(({ text }) => texts.every((each) => text.includes(each)))
      .map(({ atMs }) => atMs)
    return times.length === 0 ? null : Math.min(...times)
  }
  return {
    failedMs: first('Marking node', struckId, 'quorum reached'),
    electionMs: first('Starting a failover election'),
    wonMs: first('Failover election won'),
  }
}

async function readFrom(path: string, start: number): Promise<string> {
  const file = await open(path)
  try {
    const { size } = await file.stat()
    const { buffer, bytesRead } = await file.read(Buffer.alloc(Math.max(0, size - start)), {
      position: start,
    })
    return buffer.toString('utf8', 0, bytesRead)
  } finally {
    await file.close()
  }
}
