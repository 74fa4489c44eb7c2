import type { NodeLink } from '../link.js'
import { settingOf } from '../settings-read.js'
import { isRefusal } from '../shutdown.js'
import { categoriesOf } from '../users/nodes.js'
import { type Categories, parseUsers, textOf, wordsOf } from '../users/stored.js'

/** What a server was told at run time, and has forgotten by its restart unless it was written down. */
export interface Told {
  /** CONFIG GET *; null where it may not be asked. */
  readonly config: ReadonlyMap<string, string> | null
  /** ACL LIST; null where it may not be asked. */
  readonly users: readonly string[] | null
  /** Those that are named in it. */
  readonly categories: Categories
}

/** Kept by the server itself, and never the same after a restart; or given by whoever starts it. */
const OWN = new Set(['dir', 'logfile', 'pidfile', 'daemonize', 'supervised', 'replicaof', 'slaveof'])

export async function toldTo(link: NodeLink): Promise<Told> {
  const [config, users] = await Promise.all([
    link.reply('CONFIG', 'GET', '*').catch(() => null),
    link.reply('ACL', 'LIST').catch(() => null),
  ])
  const pairs = config as string[] | null
  const lines = users as string[] | null
  const categories = await categoriesOf(link, lines ?? []).catch(() => new Map())
  return {
    config:
      pairs &&
      new Map(
        pairs.flatMap((name, i) => (i % 2 === 0 ? [[name, pairs[i + 1] ?? ''] as [string, string]] : [])),
      ),
    users: lines,
    categories,
  }
}

/** Names of settings, and `user NAME`, that a restart has changed. */
export interface Lost {
  readonly settings: ReadonlyMap<string, string>
  readonly users: readonly string[]
}

/**
 * What was told at run time and is gone.
 * @param upgrade given when the server is another one than before, which may have other defaults and write users in another way:
 *   then a setting counts only if it was not at the default of the old one, as far as those are known
 */
export function lostBy(
  before: Told,
  after: Told,
  upgrade: { readonly defaults: ReadonlyMap<string, string> | null } | null,
): Lost {
  const settings = new Map<string, string>()
  for (const [name, value] of before.config ?? []) {
    const now = after.config?.get(name)
    if (now === undefined || now === value || OWN.has(name)) continue
    if (upgrade && (upgrade.defaults === null || upgrade.defaults.get(name) === value)) continue
    settings.set(name, value)
  }
  // A server that reads users from a file tells of the same rules in another order, and of what holds anyhow.
  const keyIn = ({ categories }: Told) => {
    if (upgrade) return nameOfUser
    return (line: string) =>
      [...parseUsers([line], categories)].map(([name, user]) => name + textOf(user)).join()
  }
  const known = new Set((after.users ?? before.users ?? []).map(keyIn(after)))
  return { settings, users: (before.users ?? []).filter((user) => !known.has(keyIn(before)(user))) }
}

export const namesOf = ({ settings, users }: Lost) => [
  ...settings.keys(),
  ...users.map((line) => `user ${nameOfUser(line)}`),
]

/**
 * Told again, so that the node is as it was; until its next restart. What the server refuses stays lost.
 * @throws NodeUnreachableError, OperationLostError: then it is to be told once more
 */
export async function tellAgain(link: NodeLink, { settings, users }: Lost): Promise<void> {
  // All in one, so that it is told all or nothing when we are killed; one by one where one of them is refused.
  if (settings.size > 0)
    await link.text('CONFIG', 'SET', ...[...settings].flat()).catch(async (error: Error) => {
      unlessRefused(error)
      for (const [name, value] of settings) await link.text('CONFIG', 'SET', name, value).catch(unlessRefused)
    })
  await Promise.all(
    users.map((line) => {
      const [, name = '', ...rules] = wordsOf(line)
      return link.text('ACL', 'SETUSER', name, 'reset', ...rules).catch(unlessRefused)
    }),
  )
}

function unlessRefused(error: Error): void {
  if (!isRefusal(error)) throw error
}

/** Written down, as far as the server has a file to write it to. @throws what the server says, where it has not */
export async function writeDown(link: NodeLink): Promise<void> {
  await link.text('CONFIG', 'REWRITE')
  // Users are part of that file, unless they have one of their own.
  if (await settingOf(link, 'aclfile')) await link.text('ACL', 'SAVE')
}

/** `user alice on #... ~* &* +@all` */
const nameOfUser = (line: string) => line.split(' ')[1] ?? '?'
