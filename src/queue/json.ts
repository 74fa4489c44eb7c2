import { InvalidDataError, PayloadTooLargeError } from '../errors.js'

/**
 * Writes a value as JSON.
 * @throws InvalidDataError if JSON cannot hold it (BigInt, cycles, a function, undefined)
 * @throws PayloadTooLargeError if the text is over `limit` bytes of UTF-8
 */
export function toJson(what: string, value: unknown, limit: number): string {
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (cause) {
    throw new InvalidDataError(what, `${(cause as Error).message.split('\n')[0]}; use plain JSON values`, {
      cause,
    })
  }
  if (text === undefined) throw new InvalidDataError(what, `JSON has no ${typeof value}; use null`)
  // A character takes at least one byte and at most three: most texts need no count.
  if (text.length * 3 > limit) {
    const bytes = Buffer.byteLength(text)
    if (bytes > limit) throw new PayloadTooLargeError(what, bytes, limit)
  }
  return text
}
