import { wordsOf } from '../users/stored.js'
import { SECRET } from './changed.js'
import type { Restarted } from './notes.js'
import { nameOfUser, originOf, type Told } from './told.js'

export const withoutHashes = (line: string) =>
  wordsOf(line)
    .map((word) => (word.startsWith('#') ? '#' : word))
    .join(' ')

/** What is needed to say how a node comes back that cannot read its data. */
const PLACES = ['dir', 'logfile', 'appendonly', 'appenddirname', 'appendfilename', 'dbfilename']

/** @param defaults of its server; null: not known */
export function noteOf(
  node: { readonly id: string; readonly runId: string | null; readonly server: Restarted['server'] },
  told: Told,
  defaults: ReadonlyMap<string, string> | null,
  operation: string,
): Restarted {
  const origins = (name: string) => originOf(told, name)
  const all = [...(told.config ?? [])].filter(([name]) => origins(name) !== 'file')
  const users = (told.users ?? []).filter((line) => origins(`user ${nameOfUser(line)}`) !== 'file')
  const isSure =
    all.every(([name]) => origins(name) === 'told') &&
    users.every((line) => origins(`user ${nameOfUser(line)}`) === 'told')
  return {
    kind: 'restarted',
    operation,
    id: node.id,
    run: node.runId ?? '',
    server: node.server,
    settings: Object.fromEntries(all.filter(([name]) => !SECRET.test(name))),
    byDefault: defaults && all.flatMap(([name, value]) => (defaults.get(name) === value ? [name] : [])),
    secrets: all.flatMap(([name, value]) => (SECRET.test(name) && value !== '' ? [name] : [])),
    users: users.map(withoutHashes),
    files: isSure ? (told.files?.mark ?? null) : null,
    places: Object.fromEntries([...(told.config ?? [])].filter(([name]) => PLACES.includes(name))),
  }
}
