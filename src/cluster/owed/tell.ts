import type { NodeLink } from '../link.js'
import { settingOf } from '../settings-read.js'
import { isRefusal } from '../shutdown.js'
import { categoriesOf } from '../users/nodes.js'
import { wordsOf } from '../users/stored.js'
import { unknownText } from './changed.js'
import type { Due } from './due.js'
import { rewriteConfig } from './files.js'
import { lostBy, toldSince } from './told.js'

/**
 * Told again, so that the node is as it was; until its next restart.
 * @returns what it was told and has now; what the server has refused is with what is not known
 * @throws NodeUnreachableError, OperationLostError: then it is to be told once more
 */
export async function tellAgain(link: NodeLink, due: Due): Promise<Due> {
  const { settings, users } = due
  if (settings.size + users.length === 0) return due
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
  const told = { config: settings, users, categories: await categoriesOf(link, users) }
  const now = await toldSince(told, link)
  const left = lostBy(told, now, null)
  return {
    settings: new Map([...settings].filter(([name]) => !left.settings.has(name))),
    users: users.filter((line) => !left.users.includes(line)),
    unknown: [...due.unknown, ...unknownText(left, now.config)],
  }
}

function unlessRefused(error: Error): void {
  if (!isRefusal(error)) throw error
}

/** Written down, as far as the server has a file to write it to. @throws what the server says, where it has not */
export async function writeDown(link: NodeLink): Promise<void> {
  await rewriteConfig(link)
  // Users are part of that file, unless they have one of their own.
  if (await settingOf(link, 'aclfile')) await link.text('ACL', 'SAVE')
}
