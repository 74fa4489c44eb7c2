import type { core } from 'zod'
import { SETTINGS_OF_MODE } from './environment.js'
import { didYouMean } from './nearest.js'

export interface Fault {
  /** As written in the file (`redis.nodes[1].port`), or the name of the variable that it came from. */
  readonly path: string
  readonly message: string
}

const KEYS: Readonly<Record<string, readonly string[]>> = {
  '': ['redis'],
  redis: [
    ...['mode', 'nodes', 'url', 'username', 'password', 'tls', 'connectionsPerNode', 'commandTimeoutMs'],
    ...['connectTimeoutMs', 'readFrom', 'natMap'],
  ],
  'redis.tls': ['caFile', 'certFile', 'keyFile', 'servername', 'rejectUnauthorized'],
  'redis.nodes[]': ['host', 'port'],
}

/**
 * Turns the schema's issues into faults that a reader of the file understands.
 * @param origins which settings came from which variable, to name that instead
 */
export function describeIssues(
  issues: readonly core.$ZodIssue[],
  origins: ReadonlyMap<string, string>,
): Fault[] {
  return issues.flatMap((issue) => {
    const path = writePath(issue.path)
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => ({
        path: nameOrigin(path === '' ? key : `${path}.${key}`, origins),
        message: `unknown key${adviceOn(key, path)}`,
      }))
    }
    const expected =
      issue.code === 'invalid_key' ? (issue.issues[0]?.message ?? issue.message) : issue.message
    const secret = issue.path.at(-1) === 'password'
    return [
      { path: nameOrigin(path || 'file', origins), message: `${expected}, got ${show(issue.input, secret)}` },
    ]
  })
}

function adviceOn(key: string, parent: string): string {
  for (const mode of ['cluster', 'single'] as const) {
    const settings: readonly string[] = SETTINGS_OF_MODE[mode]
    if (parent === 'redis' && settings.includes(key)) return ` in this mode; it belongs to mode: ${mode}`
  }
  return didYouMean(key, KEYS[parent.replace(/\[\d+\]/g, '[]')] ?? [])
}

function writePath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((written, step) => {
    if (typeof step === 'number') return `${written}[${step}]`
    return written === '' ? String(step) : `${written}.${String(step)}`
  }, '')
}

function nameOrigin(path: string, origins: ReadonlyMap<string, string>): string {
  for (const [setting, variable] of origins) {
    if (path === setting || path.startsWith(`${setting}.`) || path.startsWith(`${setting}[`)) {
      return variable + path.slice(setting.length)
    }
  }
  return path
}

/** A value as an error may show it. A secret only by its kind. */
function show(value: unknown, secret: boolean): string {
  if (value === undefined || value === null) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a section'
  if (secret) return value === '' ? 'empty text' : `a ${typeof value}`
  return typeof value === 'string' ? JSON.stringify(redact(value).slice(0, 80)) : String(value)
}

/**
 * Hides what may be a password in an address that is written in any way at all, for this is called when it is
 * wrong: everything before the last @, and everything after a question mark.
 */
export function redact(value: string): string {
  return value.replace(/^([a-z]+:\/{0,2})?.*@/is, '$1***@').replace(/\?.*$/s, '?***')
}
