import { readFile, stat } from 'node:fs/promises'
import { networkInterfaces } from 'node:os'
import { basename, dirname, resolve } from 'node:path'
import { ShardqError } from '../../errors.js'
import { type Lines, linesIn } from '../config-lines.js'
import type { NodeLink } from '../link.js'
import { keepAsStarted, startedConfig } from '../node.js'
import { CONFIG_FILE } from '../node-config.js'
import { processFromPidFile, startedAtMs, worksIn } from '../processes.js'
import { isForbidden, parseFields } from '../replies.js'
import { settingOf } from '../settings-read.js'

/** A file that was changed so soon after the start of its process was read by it, as near as the clocks tell. */
const READ_WITHIN_MS = 100

/** By how much the two ways to count may differ: a server tells whole seconds, and may be slow. */
const CLOCK_MS = 3_000

/** What is edited in the files of a process since it has read them. */
export interface Files {
  /** Another one after each change of one of them. No secret. */
  readonly mark: string
  /** Names, in one spelling (`spelledAlike`); null: there were changes, and nobody knows of what. */
  readonly settings: ReadonlySet<string> | null
  /** `user alice` */
  readonly users: ReadonlySet<string> | null
  /** What stands in redis.conf now, and in the aclfile, by name. */
  readonly lines: Lines
}

/** The files of a process on this machine that we may read; null: of any other, and of one whose files include more. */
export async function filesOf(link: NodeLink, info: ReadonlyMap<string, string>): Promise<Files | null> {
  const path = info.get('config_file') ?? ''
  const pid = Number(info.get('process_id'))
  if (path === '' || !isThisMachine(link.address.host)) return null
  try {
    const [dir, aclFile] = [await settingOf(link, 'dir'), await settingOf(link, 'aclfile')]
    if ((await worksIn(pid, dir)) !== true) return null
    const started = await startedAtMs(pid)
    const acl = aclFile === '' ? null : resolve(dir, aclFile)
    const now = linesIn(await readFile(path, 'latin1'))
    if (started === null || !isSaid(started, info) || now.has('include')) return null
    const isChanged = async (file: string) => (await stat(file)).ctimeMs > started + READ_WITHIN_MS
    const all = (await isChanged(path)) ? await editsOf(path, pid, now) : new Set<string>()
    const isUser = (name: string) => name.startsWith('user ')
    const ofUsers = acl ? ((await isChanged(acl)) ? null : new Set<string>()) : filter(all, isUser)
    return {
      mark: (await Promise.all([path, ...(acl ? [acl] : [])].map(markOf))).join(' '),
      settings: filter(all, (name) => !isUser(name)),
      users: ofUsers,
      lines: new Map([...now, ...(acl ? linesIn(await readFile(acl, 'latin1')) : [])]),
    }
  } catch (error) {
    const isOfServer = error instanceof ShardqError || (error as Error).name === 'ReplyError'
    if (isOfServer && !isForbidden(error as Error)) throw error
    return null // not ours to read
  }
}

const filter = (names: ReadonlySet<string> | null, isMeant: (name: string) => boolean) =>
  names && new Set([...names].filter(isMeant))

/** Not the time of the last edit, which some programs set as they like. */
async function markOf(path: string): Promise<string> {
  const { ino, ctimeNs, size } = await stat(path, { bigint: true })
  return `${ino}:${ctimeNs}:${size}`
}

/** As the server counts it: in a container, the time since the start of the machine may be told as that since its own. */
const isSaid = (startedMs: number, info: ReadonlyMap<string, string>) =>
  Math.abs(Date.now() - startedMs - Number(info.get('uptime_in_seconds')) * 1_000) < CLOCK_MS

/** A server of ours: what it was started with lies beside its redis.conf. */
const isOurs = async (path: string, pid: number) =>
  basename(path) === CONFIG_FILE && (await processFromPidFile(dirname(path)))?.pid === pid

/**
 * Has a server write its redis.conf. Of one of ours it is written down that it has what stands there: what it is told from then on, and what
 * is edited, could not be told apart.
 */
export async function rewriteConfig(link: NodeLink): Promise<void> {
  await link.text('CONFIG', 'REWRITE')
  const info = parseFields(await link.text('INFO', 'server'))
  const path = info.get('config_file') ?? ''
  if (isThisMachine(link.address.host) && (await isOurs(path, Number(info.get('process_id')))))
    await keepAsStarted(dirname(path))
}

async function editsOf(path: string, pid: number, now: Lines): Promise<ReadonlySet<string> | null> {
  if (!(await isOurs(path, pid))) return null
  const text = await startedConfig(dirname(path))
  if (text === null) return null
  const then = linesIn(text)
  const names = [...new Set([...then.keys(), ...now.keys()])]
  const edited = names.filter((name) => then.get(name)?.join('\n') !== now.get(name)?.join('\n'))
  // One is the password of the other.
  if (edited.includes('requirepass')) edited.push('user default')
  if (edited.includes('user default')) edited.push('requirepass')
  return new Set(edited)
}

function isThisMachine(host: string): boolean {
  const own = Object.values(networkInterfaces()).flatMap((each) => each ?? [])
  return host === 'localhost' || own.some(({ address }) => address === host)
}
