/** What a redis.conf says. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { CONFIG_FILE } from './node-config.js'

/** What follows the name, of each line with that name. */
export type Lines = ReadonlyMap<string, readonly string[]>

/** A setting may have two names, and CONFIG GET tells both. */
export const spelledAlike = (name: string) =>
  name
    .toLowerCase()
    .replace('slave', 'replica')
    .replace('primary', 'master')
    .replace('ziplist', 'listpack')
    .replace('lua-time-limit', 'busy-reply-threshold')

export function linesIn(text: string): Lines {
  const lines = new Map<string, string[]>()
  for (const line of text.split('\n')) {
    const [, word = '', rest = ''] = /^\s*([^\s#]\S*)\s*(.*?)\s*$/.exec(line) ?? []
    if (word === '') continue
    const isUser = word.toLowerCase() === 'user'
    const name = isUser ? `user ${rest.split(/\s/)[0]}` : spelledAlike(word)
    lines.set(name, [...(lines.get(name) ?? []), rest])
  }
  return lines
}

/**
 * What a node of this folder comes back with, by its redis.conf: of several lines the last counts, and without any a server keeps snapshots alone. One
 * whose redis.conf cannot be read is not started either.
 */
export async function startsFrom(dir: string): Promise<'log' | 'snapshot' | 'nothing'> {
  const text = await readFile(join(dir, CONFIG_FILE), 'latin1').catch(() => null)
  if (text === null) return 'nothing'
  const lines = linesIn(text)
  const last = (name: string) => lines.get(name)?.at(-1)
  if (/^["']?yes["']?$/i.test(last('appendonly') ?? '')) return 'log'
  return /^(""|'')$/.test(last('save') ?? '') ? 'nothing' : 'snapshot'
}
