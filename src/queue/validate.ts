import { InvalidOptionError } from '../errors.js'

/** Small checks that name the option and the way out. Used where a schema library would cost a call per task. */

/** What an error calls a value; a function where making the text would cost more than the check. */
export type Name = string | (() => string)

export function textOf(name: Name): string {
  return typeof name === 'string' ? name : name()
}

export function checkKeys(where: Name, value: unknown, known: readonly string[]): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InvalidOptionError(textOf(where), `expected an object, got ${describe(value)}`)
  }
  // Not Object.keys, which would make an array for every task.
  for (const key in value) {
    if (!known.includes(key)) {
      throw new InvalidOptionError(`${textOf(where)}.${key}`, `unknown; known are ${known.join(', ')}`)
    }
  }
}

export function checkInteger(
  option: string,
  value: unknown,
  least: number,
  most = Number.MAX_SAFE_INTEGER,
): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
    const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`
    throw new InvalidOptionError(option, `expected a whole number ${range}, got ${describe(value)}`)
  }
  return value
}

export function checkOneOf<Value extends string>(
  option: string,
  value: unknown,
  allowed: readonly Value[],
): Value {
  if (!allowed.includes(value as Value)) {
    throw new InvalidOptionError(option, `expected one of ${allowed.join(', ')}, got ${describe(value)}`)
  }
  return value as Value
}

export function checkText(option: string, value: unknown, most: number): string {
  if (typeof value !== 'string' || value === '' || value.length > most) {
    throw new InvalidOptionError(option, `expected a text of 1 to ${most} characters, got ${describe(value)}`)
  }
  if (!isWellFormed(value)) {
    const problem =
      'has half of a surrogate pair, which UTF-8 cannot hold: two texts that differ would become the same key; ' +
      'leave it out (toWellFormed() of a text does), or encode what is no text'
    throw new InvalidOptionError(option, problem)
  }
  return value
}

/** Whether UTF-8 can hold a text: every surrogate is one of a pair. Native, and at once where all characters are below 256. */
function isWellFormed(text: string): boolean {
  // Node 20 has it, the library that we compile against does not.
  return (text as string & { isWellFormed(): boolean }).isWellFormed()
}

const MOST_NAME = 200
/** Braces would change the hash slot of a key; control characters make names that nobody can type. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const UNNAMEABLE = /[{}\u0000-\u001f\u007f]/

export const isName = (text: string): boolean =>
  text !== '' && text.length <= MOST_NAME && !UNNAMEABLE.test(text)

export function checkName(option: string, value: unknown): string {
  const name = checkText(option, value, MOST_NAME)
  if (UNNAMEABLE.test(name)) {
    throw new InvalidOptionError(
      option,
      `${JSON.stringify(name)} has braces or control characters; leave them out`,
    )
  }
  return name
}

/** What an error says that it got: short, whatever it is. */
export function describe(value: unknown): string {
  if (typeof value === 'string')
    return value.length > 60 ? `a text of ${value.length} characters` : JSON.stringify(value)
  if (typeof value === 'number' || typeof value === 'boolean' || value === null || value === undefined)
    return String(value)
  return Array.isArray(value) ? 'an array' : `a value of type ${typeof value}`
}
