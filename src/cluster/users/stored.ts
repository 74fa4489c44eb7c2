/** A user as a node has it. Hashes are to be compared and copied, never to be shown. */
export interface StoredUser {
  readonly on: boolean
  readonly nopass: boolean
  readonly hashes: readonly string[]
  /** Keys, channels, commands and selectors, each in a form that is the same on every node. */
  readonly rules: ReadonlySet<string>
}

/** Rules that say nothing beyond what holds anyway, and that some servers tell and others do not. */
const SILENT = new Set(['on', 'off', 'nopass', 'sanitize-payload', 'resetchannels', 'resetkeys', '-@all'])

/** Commands by the name of their category, as ACL CAT has them. */
export type Categories = ReadonlyMap<string, readonly string[]>

/** Categories that are named in the lines of ACL LIST, but for that of all commands. */
export function categoriesIn(lines: readonly string[]): string[] {
  const named = lines.flatMap((line) =>
    wordsOf(line).flatMap((word) => /^\+@(?!all$)(.+)/.exec(word)?.[1] ?? []),
  )
  return [...new Set(named)]
}

/**
 * Redis 7.0 tells of a user who may use most commands of a category that they may use the category, less the others. The same
 * commands one by one, as they were given.
 */
function withoutCategories(words: readonly string[], categories: Categories): string[] {
  const rules = new Set<string>()
  for (const word of words) {
    const commands = categories.get(word.slice(2))
    if (word.startsWith('+@') && commands) for (const command of commands) rules.add(`+${command}`)
    else if (!(word.startsWith('-') && rules.delete(`+${word.slice(1)}`))) rules.add(word)
  }
  return [...rules]
}

/**
 * Reads the lines of ACL LIST: `user NAME on #hash ~keys &channels -@all +command (selector)`.
 * @param categories those that are to be read as the commands in them
 */
export function parseUsers(
  lines: readonly string[],
  categories: Categories = new Map(),
): ReadonlyMap<string, StoredUser> {
  return new Map(
    lines.map((line) => {
      const [, name = '', ...told] = wordsOf(line)
      const words = withoutCategories(told, categories)
      const hashes = words.filter((word) => word.startsWith('#')).map((word) => word.slice(1))
      return [
        name,
        {
          on: words.includes('on'),
          nopass: words.includes('nopass'),
          hashes: hashes.sort(),
          rules: normalRules(words.filter((word) => !word.startsWith('#'))),
        },
      ]
    }),
  )
}

/** Rules without an order: each process tells them in one of its own, and in that of selectors too. */
export function normalRules(rules: readonly string[]): ReadonlySet<string> {
  return new Set(
    rules
      .filter((rule) => !SILENT.has(rule))
      .map((rule) =>
        rule.startsWith('(') ? `(${[...normalRules(rule.slice(1, -1).split(' '))].sort().join(' ')})` : rule,
      ),
  )
}

/** Split at spaces, but not within a selector. */
export const wordsOf = (line: string) => line.match(/\([^)]*\)|[^\s()]+/g) ?? []

/** How rules differ from those that are wanted; undefined where they do not. */
export function differenceOf(
  { rules }: Pick<StoredUser, 'rules'>,
  wanted: ReadonlySet<string>,
): { readonly missing: readonly string[]; readonly beyond: readonly string[] } | undefined {
  const missing = [...wanted].filter((rule) => !rules.has(rule)).sort()
  const beyond = [...rules].filter((rule) => !wanted.has(rule)).sort()
  return missing.length + beyond.length === 0 ? undefined : { missing, beyond }
}

/** The same for two lines of ACL LIST with the same name and rules, however each server tells them. */
export const keyOfUser = (line: string, categories: Categories): string =>
  [...parseUsers([line], categories)].map(([name, user]) => name + textOf(user)).join()

/** All that there is to a user, passwords and all, in a form that is the same on nodes that have it alike. */
export function textOf({ on, nopass, hashes, rules }: StoredUser): string {
  return [on ? 'on' : 'off', ...(nopass ? ['nopass'] : []), ...hashes, ...[...rules].sort()].join(' ')
}

export function isSameUser(one: StoredUser | undefined, other: StoredUser | undefined): boolean {
  return (one && textOf(one)) === (other && textOf(other))
}
