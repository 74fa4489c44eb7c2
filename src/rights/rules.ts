import { keyPatterns, QUEUES_KEY } from '../keys/keys.js'
import { ROLES, type Role, type RoleName } from './roles.js'
import { SCRIPTS } from './scripts.js'
import type { Use } from './use.js'

/** Commands that came after Redis 7.0: an older server refuses a whole user for a command that it does not know. */
const LATER: Readonly<Record<string, readonly [major: number, minor: number]>> = { waitaof: [7, 2] }

export interface Scope {
  /** Names of the queues that the roles are limited to; without, all queues. */
  readonly queues?: readonly string[]
  /** Of the oldest node: `7.0.15`, or the version of a Valkey. */
  readonly version: string
}

/** All commands of these uses, those that their scripts call among them, in order. */
export function commandsOf(uses: readonly Use[]): string[] {
  const scripts = uses.flatMap(({ scripts = [] }) => scripts.flatMap((name) => SCRIPTS[name].split(' ')))
  return [...new Set([...scripts, ...uses.flatMap(({ commands }) => Object.keys(commands))])].sort()
}

/**
 * The rules of a user with these roles, as ACL SETUSER takes them and ACL LIST tells them (there in another order); without
 * passwords, and without what takes away what was there before. Each is one word, a selector too.
 */
export function rulesOf(names: readonly RoleName[], { queues, version }: Scope): string[] {
  const roles: Role[] = names.map((name) => ROLES[name])
  const limited = roles.map((role) => patternsOf(role, queues))
  const patterns = limited.flat().includes('~*') ? ['~*'] : withoutReadOnly(new Set(limited.flat()))
  const grant = (uses: readonly Use[]) =>
    commandsOf(uses)
      .filter((command) => isKnown(command, version))
      .map((command) => `+${command}`)
  const registers = patterns.includes('~*') ? [] : grant(roles.flatMap(({ registers = [] }) => registers))
  const selector =
    registers.length === 0 ? [] : [`(~${QUEUES_KEY} resetchannels -@all ${registers.join(' ')})`]
  return [
    ...patterns,
    ...channelsOf(roles, queues),
    '-@all',
    ...grant(roles.flatMap(({ uses }) => uses)),
    ...selector,
  ]
}

function patternsOf({ keys }: Role, queues: readonly string[] | undefined): string[] {
  switch (keys) {
    case 'queues':
      return (queues?.flatMap(keyPatterns) ?? keyPatterns()).map((pattern) => `~${pattern}`)
    case 'queues read':
      // Who watches sees all queues, and their list.
      return [...keyPatterns(), QUEUES_KEY].map((pattern) => `%R~${pattern}`)
    case 'all':
      return ['~*']
    case 'none':
      return []
  }
}

/** What may be read and written need not be read besides. */
const withoutReadOnly = (patterns: ReadonlySet<string>) =>
  [...patterns].filter((pattern) => !pattern.startsWith('%R') || !patterns.has(pattern.slice(2)))

function channelsOf(roles: readonly Role[], queues: readonly string[] | undefined): string[] {
  const listening = roles.filter(({ channels }) => channels)
  if (listening.length === 0) return []
  const all = queues === undefined || listening.some(({ keys }) => keys === 'all')
  const patterns = all ? [keyPatterns()[0]] : queues.map((queue) => keyPatterns(queue)[0])
  return patterns.map((pattern) => `&${pattern}`)
}

function isKnown(command: string, version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [sinceMajor, sinceMinor] = LATER[command] ?? [0, 0]
  return major > sinceMajor || (major === sinceMajor && minor >= sinceMinor)
}
