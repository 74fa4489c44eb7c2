import { InvalidDataError, PayloadTooLargeError } from '../errors.js'
import { type Name, textOf } from './validate.js'

/**
 * Writes a value as JSON.
 * @throws InvalidDataError if JSON cannot hold it (BigInt, cycles, a function, undefined)
 * @throws PayloadTooLargeError if the text is over `limit` bytes of UTF-8
 */
export function toJson(what: Name, value: unknown, limit: number): string {
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (cause) {
    throw new InvalidDataError(
      textOf(what),
      `${(cause as Error).message.split('\n')[0]}; use plain JSON values`,
      {
        cause,
      },
    )
  }
  if (text === undefined) throw new InvalidDataError(textOf(what), `JSON has no ${typeof value}; use null`)
  // A character takes at least one byte and at most three: most texts need no count.
  if (text.length * 3 > limit) {
    const bytes = Buffer.byteLength(text)
    if (bytes > limit) throw new PayloadTooLargeError(textOf(what), bytes, limit)
  }
  return text
}
