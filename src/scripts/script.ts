import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'

export interface Script {
  readonly name: string
  readonly source: string
  readonly sha: string
}

const read = (path: string) => readFileSync(new URL(`./${path}.lua`, import.meta.url), 'utf8')

/**
 * Reads `<name>.lua` from beside this file, and before it what its header says it uses of `shared/`.
 *
 * A header line `-- Flags allow-oom` becomes the shebang `#!lua flags=allow-oom`: the server then runs the script while it is out
 * of memory (https://redis.io/docs/latest/develop/programmability/lua-api/#script_flags). It is for scripts that free memory, or
 * without which nothing could be freed; one that stores new tasks must not have it.
 */
export function loadScript(name: string): Script {
  const own = read(name)
  const uses = /^-- Uses +(.+)$/m.exec(own)?.[1]?.split(', ') ?? []
  const flags = /^-- Flags +(.+)$/m.exec(own)?.[1]
  const shebang = flags === undefined ? '' : `#!lua flags=${flags}\n`
  const source = [shebang, ...uses.map((part) => read(`shared/${part}`)), own].join('')
  return { name, source, sha: createHash('sha1').update(source).digest('hex') }
}

export type Argument = string | number | Buffer

/** One call of a script, ready to be sent to whichever node serves its slot. */
export interface ScriptCall<Result> {
  readonly script: Script
  readonly keys: readonly string[]
  readonly args: readonly Argument[]
  /** Turns the server's reply into a closed result. */
  readonly parse: (reply: unknown) => Result
}

/** A reply that no version of the script sends: the script and its caller are out of step. */
export function unexpectedReply(script: string, reply: unknown): Error {
  return new Error(`script ${script} answered ${JSON.stringify(reply)}, which its caller does not know`)
}

/**
 * Most elements that one script call carries in one list. Lua's `unpack` is limited by its C stack (about
 * 8,000 values, LUAI_MAXCSTACK), and one call must not hold a master for long.
 */
export const MAX_BATCH = 1_000
