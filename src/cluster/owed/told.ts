import { NotPermittedError } from '../../errors.js'
import { spelledAlike } from '../config-lines.js'
import { type NodeLink, nameOf } from '../link.js'
import { isForbidden, parseFields } from '../replies.js'
import { settingsOf } from '../settings-read.js'
import { isRefusal } from '../shutdown.js'
import { categoriesOf } from '../users/nodes.js'
import { type Categories, keyOfUser } from '../users/stored.js'
import { type Files, filesOf } from './files.js'

/** What a server has, and what is known of where it has that from. */
export interface Told {
  /** CONFIG GET *; null where it may not be asked. */
  readonly config: ReadonlyMap<string, string> | null
  /** ACL LIST; null where it may not be asked. */
  readonly users: readonly string[] | null
  /** Those that are named in it. */
  readonly categories: Categories
  readonly calls: Calls
  /** Null: not to be seen from here. */
  readonly files: Files | null
}

/** Whether anybody may have told a process something since it was started, by its own count of commands. */
export interface Calls {
  readonly settings: boolean
  readonly users: boolean
  /** Whether it may have read its file of users once more. */
  readonly loaded: boolean
  /** Whether it may have written its files itself. */
  readonly rewrite: boolean
}

/** Kept by the server itself, and never the same after a restart; or given by whoever starts it. */
const OWN =
  /^(dir|logfile|pidfile|daemonize|supervised|(replica|slave)of|(tls-|cluster-)?port|bind(-source-addr)?|unixsocket(perm)?|aclfile|cluster-config-file|(cluster|replica|slave)-announce-.*)$/

/** @throws NodeUnreachableError, or what else the server says: what was not seen is not what a node has not */
export async function toldTo(link: NodeLink): Promise<Told> {
  const info = parseFields(await link.text('INFO', 'everything'))
  const [config, users] = await Promise.all([
    settingsOf(link),
    link.reply('ACL', 'LIST').catch(nullIfForbidden) as Promise<string[] | null>,
  ])
  const files = await filesOf(link, info)
  const categories = await categoriesOf(link, users ?? []).catch(nullIfForbidden)
  const inFiles = await categoriesOf(link, userLinesOf(files)).catch(nullIfRefused)
  return {
    config: config ?? null,
    users,
    categories: new Map([...(inFiles ?? []), ...(categories ?? [])]),
    calls: callsIn(info),
    files,
  }
}

/**
 * As `toldTo`, to be compared with what it had.
 * @throws NotPermittedError where it may not be asked for what there is to compare: nothing would seem to be lost
 */
export async function toldSince(before: Pick<Known, 'config' | 'users'>, link: NodeLink): Promise<Told> {
  const now = await toldTo(link)
  const isHidden = (had: number | undefined, found: unknown) => Boolean(had) && found === null
  const refuse = (command: string) => new NotPermittedError(nameOf(link.address), `run '${command}'`)
  if (isHidden(before.config?.size, now.config)) throw refuse('config|get')
  if (isHidden(before.users?.length, now.users)) throw refuse('acl|list')
  return now
}

const userLinesOf = (files: Files | null) =>
  [...(files?.lines ?? [])].flatMap(([name, lines]) => (name.startsWith('user ') ? lines : []))

/** A file may name a category that there is not. */
function nullIfRefused(error: Error): null {
  if (isRefusal(error)) return null
  throw error
}

function nullIfForbidden(error: Error): null {
  if (isForbidden(error)) return null
  throw error
}

/** A server forgets its counts by CONFIG RESETSTAT, but counts that one, since it is done by then. */
export function callsIn(info: ReadonlyMap<string, string>): Calls {
  const were = (...commands: string[]) =>
    [...commands, 'config|resetstat'].some((command) => {
      const count = (what: string) =>
        Number(new RegExp(`\\b${what}=(\\d+)`).exec(info.get(`cmdstat_${command}`) ?? '')?.[1] ?? 0)
      return count('calls') > count('failed_calls')
    })
  return {
    settings: were('config|set'),
    users: were('acl|setuser', 'acl|deluser'),
    loaded: were('acl|load'),
    rewrite: were('config|rewrite', 'acl|save'),
  }
}

/** Settings and lines of users that a process has and the next one has not. */
export interface Lost {
  readonly settings: ReadonlyMap<string, string>
  readonly users: readonly string[]
}

/** What of a server is to be compared. */
type Known = Pick<Told, 'config' | 'users' | 'categories'>

/**
 * What a restart has changed.
 * @param upgrade given when the server is another one than before, which may have other defaults and write users in another way:
 *   then a setting counts only if it was not at the default of the old one, as far as those are known
 */
export function lostBy(
  before: Known,
  after: Known,
  upgrade: { readonly defaults: ReadonlyMap<string, string> | null } | null,
): Lost {
  const settings = new Map<string, string>()
  for (const [name, value] of before.config ?? []) {
    const now = after.config?.get(name)
    if (now === undefined || now === value || OWN.test(name)) continue
    if (upgrade && (upgrade.defaults === null || upgrade.defaults.get(name) === value)) continue
    settings.set(name, value)
  }
  // A server that reads users from a file tells of the same rules in another order, and of what holds anyhow.
  const keyIn = ({ categories }: Known) => {
    if (upgrade) return nameOfUser
    return (line: string) => keyOfUser(line, categories)
  }
  const known = new Set((after.users ?? before.users ?? []).map(keyIn(after)))
  return { settings, users: (before.users ?? []).filter((user) => !known.has(keyIn(before)(user))) }
}

export const namesOf = ({ settings, users }: Lost) => [
  ...settings.keys(),
  ...users.map((line) => `user ${nameOfUser(line)}`),
]

/**
 * Whether what a process has was told to it at run time, so that the next one has it no more. `file`: it was not, and the files are another by
 * now, since somebody wants it so. `unknown`: it may be either, and who gives it back may undo what the operator has written.
 * @param name of a setting, or `user alice`
 */
export type Origin = 'told' | 'file' | 'unknown'

export function originOf({ calls, files }: Pick<Told, 'calls' | 'files'>, name: string): Origin {
  const kind = name.startsWith('user ') ? 'users' : 'settings'
  // Its password is a setting too.
  const mayBeTold = calls[kind] || (name === 'user default' && calls.settings)
  if (!mayBeTold) return 'file'
  const edited = files?.[kind]
  if (!edited) return 'unknown'
  if (!edited.has(kind === 'users' ? name : spelledAlike(name))) return 'told'
  // A server that writes its files itself writes there what it was told.
  return calls.rewrite ? 'unknown' : 'file'
}

/** `user alice on #... ~* &* +@all` */
export const nameOfUser = (line: string) => line.split(' ')[1] ?? '?'
