import { type Lines, spelledAlike } from '../config-lines.js'
import { hashOf } from '../users/account.js'
import { parseUsers, textOf, wordsOf } from '../users/stored.js'
import { unknownText } from './changed.js'
import type { Files } from './files.js'
import { nameOfUser, type Told } from './told.js'

/** What is written to the files of a node. */
export interface Writing {
  /** CONFIG REWRITE: all settings, and users where there is no aclfile. Otherwise ACL SAVE alone. */
  readonly rewrites: boolean
  /** What the caller changes on purpose, whatever the files say: `user alice`, `masterauth`. Default: nothing. */
  readonly own?: ReadonlySet<string>
}

/** The way out for whoever is refused. */
export const KEEP_IT = 'to keep what a node has: CONFIG REWRITE on it (ACL SAVE, where it has an aclfile)'

/**
 * What the files of a node say since they were changed, which is not in effect, and would be written over: as the file says, and as the node
 * has it. None, where the files cannot be seen from here.
 */
export function editsUnder(told: Told, writing: Writing): string[] {
  const { files } = told
  if (!files) return []
  const edits = namesEdited(told, files, writing).filter((name) => !isSame(told, name, files))
  const known = edits.map((name) => textOfEdit(told, name, files.lines))
  // A server that has written its files itself has not removed any; somebody may have since, and that is the price.
  const isUnknown = writing.rewrites && files.settings === null && !told.calls.rewrite
  return isUnknown ? [...known, 'lines that were removed, if any'] : known
}

/** What the node was told at run time, other than its files say, and what would be there for good; as far as they have a line of it. */
export function toldUnder(told: Told, writing: Writing): string[] {
  const { files, calls } = told
  if (!files) return []
  const edited = new Set(namesEdited(told, files, writing))
  const lines = [...files.lines.keys()]
  const settings = calls.settings && writing.rewrites ? lines.filter((name) => !isUser(name)) : []
  const users = calls.users ? [...new Set([...lines.filter(isUser), ...usersOf(told)])] : []
  return [...settings, ...users]
    .filter((name) => !writing.own?.has(name) && !edited.has(name) && !isSame(told, name, files))
    .map((name) => textOfEdit(told, name, files.lines))
}

const isUser = (name: string) => name.startsWith('user ')

/** But the one whom every server has, of whom files need not say anything. */
const usersOf = ({ users }: Told) =>
  (users ?? []).map((line) => `user ${nameOfUser(line)}`).filter((name) => name !== 'user default')

/** Names of all that may have been edited, and would be written. Where nobody knows of what there were changes, that is all that there is. */
function namesEdited(told: Told, { settings, users, lines }: Files, { rewrites, own }: Writing): string[] {
  const all = [...lines.keys()]
  const ofSettings = rewrites ? (settings ?? all.filter((name) => !isUser(name))) : []
  // One who has no line, and was told to nobody, had one.
  const removed = told.calls.users ? [] : usersOf(told)
  const ofUsers = users ?? [...all.filter(isUser), ...removed]
  return [...new Set([...ofSettings, ...ofUsers])].filter((name) => !own?.has(name))
}

function isSame(told: Told, name: string, files: Files): boolean {
  const lines = files.lines.get(name)
  if (isUser(name)) {
    const user = (line: string | undefined) =>
      line === undefined
        ? ''
        : [...parseUsers([line], told.categories)].map(([, each]) => textOf(each)).join()
    const has = told.users?.find((line) => `user ${nameOfUser(line)}` === name)
    return user(has) === user(lines?.map((rest) => asTold(`user ${rest}`)).at(-1))
  }
  const has = valueIn(told, name)
  // Not a setting that it tells: `loadmodule`.
  if (has === undefined) return files.settings === null
  if (lines === undefined) return told.calls.rewrite // which leaves out what is at its default
  const values = lines.map(plain)
  return values.length > 1 || name === 'client-output-buffer-limit'
    ? values.every((value) => plain(has).includes(value))
    : values[0] === plain(has)
}

const ALIASES: Readonly<Record<string, string>> = {
  allkeys: '~*',
  allchannels: '&*',
  allcommands: '+@all',
  nocommands: '-@all',
}

/** A user as people write one into a file, as a server tells it. */
const asTold = (line: string) =>
  wordsOf(line)
    .filter((word) => word !== 'resetpass' && word !== 'reset' && word !== 'clearselectors')
    .map((word) => (word.startsWith('>') ? `#${hashOf(word.slice(1))}` : (ALIASES[word] ?? word)))
    .join(' ')

const valueIn = ({ config }: Told, name: string) =>
  [...(config ?? [])].find(([each]) => spelledAlike(each) === name)?.[1]

function textOfEdit(told: Told, name: string, all: Lines): string {
  if (isUser(name)) return name
  const says = all.get(name)?.join(' ') ?? 'no line'
  return (
    unknownText(
      { settings: new Map([[name, says]]), users: [] },
      new Map([[name, valueIn(told, name) ?? '']]),
    )[0] ?? name
  )
}

const UNITS: Readonly<Record<string, number>> = {
  b: 1,
  k: 1_000,
  kb: 1_024,
  m: 1_000_000,
  mb: 1_024 ** 2,
  g: 1_000_000_000,
  gb: 1_024 ** 3,
}

/** A value as a server tells it: no quotes, and bytes in place of `100mb`. */
const plain = (text: string) =>
  text
    .toLowerCase()
    .replaceAll(/["']/g, '')
    .replaceAll(/\breplica\b/g, 'slave')
    .split(/\s+/)
    .map((word) => {
      const [, count, unit = ''] = /^(\d+)([kmg]?b?)$/.exec(word) ?? []
      return count === undefined ? word : String(Number(count) * (UNITS[unit] ?? 1))
    })
    .join(' ')
