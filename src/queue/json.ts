import { InvalidDataError, PayloadTooLargeError } from '../errors.js'
import { describeError } from './describe-error.js'
import { lostInJson, showsOpaque } from './json-loss.js'
import { type Name, textOf } from './validate.js'

/**
 * Writes a value as JSON. What JSON would lose without a word is refused, but for members of objects that are undefined, a
 * function or a symbol: they are left out, as JSON.stringify does. Of an Error, a Map and the like that has properties of its own, JSON
 * writes these alone. Such a one is refused as the value itself or a member of it; deeper down only where the text has a `null` or `{}`
 * besides.
 * @param root what the path to a value that cannot be stored begins with
 * @param undefinedAsNull an undefined element of an array may become null; else it is refused
 * @throws InvalidDataError if JSON cannot hold it (BigInt, cycles, a function, undefined, NaN, Infinity, a Map)
 * @throws PayloadTooLargeError if the text is over `limit` bytes of UTF-8
 */
export function toJson(
  what: Name,
  value: unknown,
  limit: number,
  root = 'data',
  undefinedAsNull = false,
): string {
  let text: string | undefined
  let lost: string | undefined
  try {
    text = JSON.stringify(value)
    // What is lost is mostly written as one of the two: texts that have neither need no second look.
    if (typeof value !== 'string' && (text?.includes('null') || text?.includes('{}') || showsOpaque(value)))
      lost = lostInJson(root, value, undefinedAsNull)
  } catch (cause) {
    // Getters and `toJSON` are code of others, which may throw anything.
    const [problem = ''] = describeError(cause).message.split('\n')
    throw new InvalidDataError(textOf(what), `${problem}; use plain JSON values`, { cause })
  }
  if (text === undefined) throw new InvalidDataError(textOf(what), `JSON has no ${typeof value}; use null`)
  if (lost !== undefined) throw new InvalidDataError(textOf(what), lost)
  // A character takes at least one byte and at most three: most texts need no count.
  if (text.length * 3 > limit) {
    const bytes = Buffer.byteLength(text)
    if (bytes > limit) throw new PayloadTooLargeError(textOf(what), bytes, limit)
  }
  return text
}
