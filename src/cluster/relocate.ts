import { chmod, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, resolve, sep } from 'node:path'
import { DataDirError } from './errors.js'
import { CONFIG_FILE } from './node-config.js'

/** Their values are no paths, whatever they look like. */
const SECRETS = ['requirepass', 'masterauth', 'user', 'primaryauth']

/**
 * Makes the redis.conf of a node's folder name that folder, where it names another one: the folder was moved here, or is a copy.
 * The paths in it are absolute, since a server has to be startable from anywhere, and CONFIG REWRITE writes them so besides. With
 * what they said before, the server of a copy would work in the folder of the original, and that of a moved folder not start.
 * @returns the folder that it named before; null: it named this one
 * @throws DataDirError when it cannot be written
 */
export async function settleConfig(dir: string): Promise<string | null> {
  const path = join(dir, CONFIG_FILE)
  const text = await readFile(path, 'latin1').catch(() => null)
  const before = text === null ? null : dirNamedBy(text)
  if (text === null || before === null || (await isSameDir(before, dir))) return null
  const settled = moved(text, before, resolve(dir))
  try {
    const { mode } = await stat(path)
    await writeFile(`${path}.new`, settled, { encoding: 'latin1', mode: 0o600 })
    await chmod(`${path}.new`, mode & 0o777)
    await rename(`${path}.new`, path)
  } catch (cause) {
    const problem = `it was moved or copied from ${before}, and ${CONFIG_FILE} cannot be changed to say so`
    throw new DataDirError(dir, `${problem}: ${(cause as Error).message}`, { cause })
  }
  return before
}

/** The folder that a redis.conf names as that of its server; null where it names none, or a relative one. */
export function dirNamedBy(text: string): string | null {
  let named: string | null = null
  for (const line of text.split('\n')) {
    const [name, value] = wordsOf(line)
    // The last one counts.
    if (name?.value.toLowerCase() === 'dir' && value) named = utf8(value.value)
  }
  return named !== null && isAbsolute(named) ? named : null
}

/** The same file: the one who calls may have come by a symbolic link. */
async function isSameDir(a: string, b: string): Promise<boolean> {
  if (resolve(a) === resolve(b)) return true
  try {
    const [one, other] = await Promise.all([stat(a, { bigint: true }), stat(b, { bigint: true })])
    return one.dev === other.dev && one.ino === other.ino
  } catch {
    return false
  }
}

/** Every path in the text that lies in the old folder, or beside it in the data folder, in the new one. */
function moved(text: string, from: string, to: string): string {
  const roots: [from: string, to: string][] = [[from, to]]
  // A data folder that was moved as a whole: its `tls`, for one.
  if (basename(from) === basename(to)) roots.push([dirname(from), dirname(to)])
  const relocate = (value: string): string | null => {
    for (const [old, now] of roots) {
      if (value === old) return now
      if (value.startsWith(old + sep)) return now + value.slice(old.length)
    }
    return null
  }
  return text
    .split('\n')
    .map((line) => {
      const [name, ...values] = wordsOf(line)
      if (!name || SECRETS.includes(name.value.toLowerCase())) return line
      let shift = 0
      let changed = line
      for (const { start, end, value } of values) {
        const now = relocate(utf8(value))
        if (now === null) continue
        const quoted = quote(latin1(now))
        changed = changed.slice(0, start + shift) + quoted + changed.slice(end + shift)
        shift += quoted.length - (end - start)
      }
      return changed
    })
    .join('\n')
}

interface Word {
  readonly start: number
  readonly end: number
  /** Bytes, one character each. */
  readonly value: string
}

const ESCAPED: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', a: '\u0007' }

/** Splits a line as the server does: in double quotes a backslash escapes, `\xHH` among others, which CONFIG REWRITE writes. */
function wordsOf(line: string): Word[] {
  if (line.trimStart().startsWith('#')) return []
  const words: Word[] = []
  let at = 0
  while (at < line.length) {
    if (/\s/.test(line[at] ?? '')) {
      at++
      continue
    }
    const start = at
    let value = ''
    let quoted = ''
    for (; at < line.length; at++) {
      const char = line[at] ?? ''
      if (quoted === '' && /\s/.test(char)) break
      if (quoted === '' && (char === '"' || char === "'")) quoted = char
      else if (char === quoted) quoted = ''
      else if (quoted === '"' && char === '\\') {
        const hex = /^x([0-9a-fA-F]{2})/.exec(line.slice(at + 1))?.[1]
        const next = line[at + 1] ?? ''
        value += hex === undefined ? (ESCAPED[next] ?? next) : String.fromCharCode(Number.parseInt(hex, 16))
        at += hex === undefined ? 1 : 3
      } else if (quoted === "'" && char === '\\' && line[at + 1] === "'") {
        value += "'"
        at++
      } else value += char
    }
    words.push({ start, end: at, value })
  }
  return words
}

const quote = (text: string) => `"${text.replace(/[\\"]/g, '\\$&')}"`
const utf8 = (bytes: string) => Buffer.from(bytes, 'latin1').toString('utf8')
const latin1 = (text: string) => Buffer.from(text, 'utf8').toString('latin1')
