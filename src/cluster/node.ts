import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync, realpathSync } from 'node:fs'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Access } from '../connection/target.js'
import { AuthenticationError, TlsError } from '../errors.js'
import { startsFrom } from './config-lines.js'
import { NodeFullError, NodeStartError, NodeStopError } from './errors.js'
import type { RedisServer } from './find-server.js'
import { type LinkOptions, withLink } from './link.js'
import { CONFIG_FILE, LOG_FILE } from './node-config.js'
import { HOST, isListening } from './ports.js'
import {
  type ProcessIdentity,
  processFromPidFile,
  processStamp,
  signalProcess,
  waitUntilGone,
  workingDir,
  worksIn,
  writePidFile,
} from './processes.js'
import { settleConfig } from './relocate.js'
import { parseFields } from './replies.js'
import { hasLogFailed, isRefusal, isWritingLog, whyRefused } from './shutdown.js'

/** A master gives its replicas 10 s (shutdown-timeout) to catch up before it ends. */
export const STOP_TIMEOUT_MS = 15_000
const SHUTDOWN_REFUSED_MS = 10_000
const FROZEN_PATIENCE_MS = 5000
const POLL_MS = 100
/** As an argument of SHUTDOWN. */
const SAVING = 'SAVE'

/** Where a server of ours lives, and how to talk to it. */
export interface NodePlace {
  readonly port: number
  readonly dir: string
  readonly access: Access
}

/**
 * - `running`: it answers, and works in this folder, be it that this was removed meanwhile (where the system does not tell: it says that it was started from its redis.conf)
 * - `unresponsive`: it does not answer, but the process that we started here lives on: frozen, for example, or it refuses
 *   us, and `refusal` says why
 * - `foreign`: something else has the port; `holder`, where it is a Redis that says so
 * - `down`: nothing has the port
 */
export type NodeState =
  | { readonly state: 'running'; readonly process: ProcessIdentity }
  | { readonly state: 'unresponsive'; readonly process: ProcessIdentity; readonly refusal?: Error }
  | { readonly state: 'foreign'; readonly holder: PortHolder | null }
  | { readonly state: 'down' }

/** A server that is none of the folder in question, and has a port that belongs to it. */
export interface PortHolder {
  readonly pid: number
  /** Where it works, else where its redis.conf was; null where it was started without one. */
  readonly dir: string | null
}

/** Finds out what runs at a node's place. Takes at most about 2 s, and that only when nothing answers. */
export async function probeNode(place: NodePlace): Promise<NodeState> {
  const reported = await askProcess(place)
  if ('pid' in reported && reported.ours) {
    const stamp = await processStamp(reported.pid)
    if (stamp !== null) return { state: 'running', process: { pid: reported.pid, stamp } }
  }
  const recorded = await processFromPidFile(place.dir)
  if (recorded !== null && !('pid' in reported)) {
    return { state: 'unresponsive', process: recorded, ...reported }
  }
  if ('pid' in reported) return { state: 'foreign', holder: await holderOf(reported) }
  return (await isListening(place.port)) ? { state: 'foreign', holder: null } : { state: 'down' }
}

async function holderOf({ pid, config }: Reported): Promise<PortHolder> {
  return { pid, dir: (await workingDir(pid)) ?? (config === '' ? null : dirname(config)) }
}

/** What a server says of itself. */
interface Reported {
  readonly pid: number
  /** Path of the redis.conf with which it was started; empty without one. */
  readonly config: string
  readonly ours: boolean
}

/** What it says of itself; else, where it answers and lets us not in, why. */
async function askProcess(place: NodePlace): Promise<Reported | { readonly refusal?: Error }> {
  try {
    return await withLink({ host: HOST, port: place.port }, linkOptions(place), async (link) => {
      const fields = parseFields(await link.text('INFO', 'server'))
      const [pid, config] = [Number(fields.get('process_id')), fields.get('config_file') ?? '']
      const ours = (await worksIn(pid, place.dir)) ?? isSameFile(config, join(place.dir, CONFIG_FILE))
      return { pid, config, ours }
    })
  } catch (error) {
    const isTold = [AuthenticationError, TlsError, NodeFullError].some((told) => error instanceof told)
    return isTold ? { refusal: error as Error } : {}
  }
}

export const linkOptions = ({ access }: Partial<Pick<NodePlace, 'access'>>): LinkOptions => access ?? {}

/** As texts, if there is none any more: its folder may have been removed meanwhile. */
function isSameFile(a: string, b: string): boolean {
  try {
    return realpathSync(a) === realpathSync(b)
  } catch {
    return a === b
  }
}

/**
 * Starts the server of one folder, detached, so that it outlives this process, and waits until it answers;
 * a server that is still loading its data does answer. It works in this folder even if that was moved or copied here.
 * @throws NodeStartError when it ends at once or does not answer within `timeoutMs`; DataDirError when redis.conf cannot be written
 */
export async function startNode(
  server: RedisServer,
  place: NodePlace,
  { timeoutMs = 10_000, signal }: { timeoutMs?: number; signal?: AbortSignal | undefined } = {},
): Promise<ProcessIdentity> {
  await settleConfig(place.dir)
  const config = await readFile(join(place.dir, CONFIG_FILE)).catch(() => null)
  const log = openSync(join(place.dir, LOG_FILE), 'a')
  const child = spawn(server.path, [join(place.dir, CONFIG_FILE)], {
    cwd: place.dir,
    detached: true,
    // What it prints before it has read its own log setting, a fault in redis.conf for one, goes there too.
    stdio: ['ignore', log, log],
    windowsHide: true,
  })
  closeSync(log)
  child.unref()
  let ended: string | null = null
  child.once('error', (error) => {
    ended = error.message
  })
  child.once('exit', (code, by) => {
    ended = by === null ? `it ended with exit code ${code}` : `it was ended by ${by}`
  })
  const fail = async (problem: string) => new NodeStartError(place.port, problem, await logTail(place.dir))

  const deadline = performance.now() + timeoutMs
  while (true) {
    if (ended !== null) throw await fail(ended)
    const reported = await askProcess(place)
    if ('pid' in reported && reported.ours && reported.pid === child.pid) break
    const refusal = 'refusal' in reported ? reported.refusal : undefined
    if (refusal || signal?.aborted || performance.now() > deadline) {
      // Ours beyond doubt: we hold its handle, and it has not ended.
      child.kill('SIGKILL')
      await once(child, 'exit')
      throw await fail(
        refusal?.message ?? (signal?.aborted ? 'interrupted' : `no answer within ${timeoutMs} ms`),
      )
    }
    await sleep(5)
  }
  const pid = child.pid ?? 0
  const identity = { pid, stamp: (await processStamp(pid)) ?? '' }
  if (config) await writeFile(join(place.dir, STARTED_FILE), config, { mode: 0o600 })
  await writePidFile(place.dir, identity)
  return identity
}

/** What redis.conf was when the process of `redis.pid` was started, or has written it on our word: what is edited since is not in effect yet. */
const STARTED_FILE = 'redis.conf.started'

/** Null: nobody has kept it. */
export const startedConfig = (dir: string): Promise<string | null> =>
  readFile(join(dir, STARTED_FILE), 'latin1').catch(() => null)

/** The server of this folder has just written its redis.conf, so that it has what stands there. */
export async function keepAsStarted(dir: string): Promise<void> {
  const half = join(dir, `${STARTED_FILE}.new`)
  await writeFile(half, await readFile(join(dir, CONFIG_FILE)), { mode: 0o600 })
  await rename(half, join(dir, STARTED_FILE))
}

/** The last lines that a node has written to its log. */
export async function logTail(dir: string): Promise<string> {
  const text = await readFile(join(dir, LOG_FILE), 'utf8').catch(() => '')
  return text.trim().split('\n').slice(-5).join('\n')
}

/**
 * Ends a server of ours and waits until its process is gone. A node that answers is asked to end; signals go only
 * to a process that our own pid file vouches for, since a pid that came over the network could be of another
 * machine.
 * @param keepData true: it writes everything to disk first; false: at once
 * @throws NodeStopError when it refuses, or is still there after 15 s
 */
export async function stopNode(
  place: NodePlace,
  found: Extract<NodeState, { process: ProcessIdentity }>,
  { keepData }: { keepData: boolean },
): Promise<void> {
  const { process: identity } = found
  if (found.state === 'running') {
    await shutdown(place, identity, keepData ? await keeping(place) : ['NOSAVE', 'NOW', 'FORCE'])
  } else {
    if (keepData) {
      // It cannot hear SHUTDOWN. Thawed, it obeys SIGTERM, which writes to disk just the same.
      await signalProcess(identity, 'SIGTERM')
      await signalProcess(identity, 'SIGCONT')
      await waitUntilGone(identity, FROZEN_PATIENCE_MS)
    }
    await signalProcess(identity, 'SIGKILL')
  }
  if (!(await waitUntilGone(identity, STOP_TIMEOUT_MS))) {
    throw new NodeStopError(place.port, identity.pid, `it is still running after 15 s; see ${place.dir}`)
  }
}

/** By itself it saves what it is to start from only if that was not switched off at run time (`CONFIG SET save ""`). */
const keeping = async ({ dir }: NodePlace) => ((await startsFrom(dir)) === 'snapshot' ? [SAVING] : [])

/** Ends a process that we have started ourselves, without ceremony: its data is not wanted. */
export async function discardProcess(identity: ProcessIdentity): Promise<void> {
  await signalProcess(identity, 'SIGKILL')
  await waitUntilGone(identity, STOP_TIMEOUT_MS)
}

/**
 * Asks for SHUTDOWN until it is obeyed. A refusal may pass: a replica that has just been synced is writing its first AOF, and will not
 * end before that is done. Where that fails, it would obey for as long as it does not try again, and come back with an old one.
 */
async function shutdown(place: NodePlace, identity: ProcessIdentity, how: string[]): Promise<void> {
  const deadline = performance.now() + SHUTDOWN_REFUSED_MS
  while (true) {
    const refusal = await refusalToEnd(place, how)
    if (refusal === null) return
    const info = await whenWritten(place, deadline)
    if (hasLogFailed(info) || performance.now() > deadline) {
      const problem = `${refusal.message} - ${whyRefused(info, place.dir)}; then the same command again`
      throw new NodeStopError(place.port, identity.pid, problem, { cause: refusal })
    }
  }
}

/** Null: it obeys. The connection breaks then; an answer is a refusal. */
async function refusalToEnd(place: NodePlace, how: string[]): Promise<Error | null> {
  const patient = { ...linkOptions(place), timeoutMs: STOP_TIMEOUT_MS }
  try {
    await withLink({ host: HOST, port: place.port }, patient, (link) => link.text('SHUTDOWN', ...how))
    return null
  } catch (error) {
    return isRefusal(error) ? (error as Error) : null
  }
}

/** What INFO persistence says once the server has written its log, or has failed to. */
async function whenWritten(place: NodePlace, deadline: number): Promise<ReadonlyMap<string, string>> {
  while (true) {
    await sleep(POLL_MS)
    // The refusal is told in any case; what it says of its disk is not worth another failure.
    const text = await withLink({ host: HOST, port: place.port }, linkOptions(place), (link) =>
      link.text('INFO', 'persistence'),
    ).catch(() => '')
    const info = parseFields(text)
    if (!isWritingLog(info) || hasLogFailed(info) || performance.now() > deadline) return info
  }
}
