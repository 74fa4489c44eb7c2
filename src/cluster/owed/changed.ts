import type { Due } from './due.js'
import { type Lost, lostBy, nameOfUser, type Origin, originOf, type Told } from './told.js'

/** Names of settings that hold secrets, by whatever name a module or a later server calls its own. */
export const SECRET = /pass|auth$|secret|token/i

/** As it was, and where it is not a secret, as it is. */
export const unknownText = ({ settings, users }: Lost, now: Told['config']): string[] => [
  ...[...settings].map(([name, value]) =>
    SECRET.test(name) ? name : `${name} ${textOfValue(value)} (now ${textOfValue(now?.get(name) ?? '')})`,
  ),
  ...users.map((line) => `user ${nameOfUser(line)}`),
]

const textOfValue = (value: string) => (value === '' ? '""' : value)

/** What a restart has changed. */
export interface Changed {
  /** What is to be told again, and what is only to be named. */
  readonly due: Due
  /** What the files say otherwise by now, as somebody wants it. */
  readonly byFiles: readonly string[]
}

/** @param upgrade see `lostBy` */
export function changedBy(before: Told, after: Told, upgrade: Parameters<typeof lostBy>[2]): Changed {
  const lost = lostBy(before, after, upgrade)
  // Changed while it was away, nobody knows how.
  const files = before.files?.mark === after.files?.mark ? before.files : null
  const of = (origin: Origin): Lost => ({
    settings: new Map([...lost.settings].filter(([name]) => originOf({ ...before, files }, name) === origin)),
    users: lost.users.filter((line) => originOf({ ...before, files }, `user ${nameOfUser(line)}`) === origin),
  })
  return {
    due: { ...of('told'), unknown: unknownText(of('unknown'), after.config) },
    byFiles: unknownText(of('file'), after.config),
  }
}
