import { type Reader, read } from './read.js'

/**
 * When fields of a hash run out, in ms since 1970; -1: never, -2: there is no such field, or no such key. Null where the server knows no such
 * times (before Redis 7.4 and Valkey 9), or where the key was, in a slot that is leaving.
 */
export async function fieldTimes(
  reader: Reader,
  key: Buffer,
  fields: readonly (string | number | Buffer)[],
): Promise<readonly number[] | null> {
  try {
    const reply = await read(reader, 'HPEXPIRETIME', key, 'FIELDS', fields.length, ...fields)
    return reply === null ? null : (reply as unknown[]).map(Number)
  } catch (error) {
    if (/unknown command/i.test((error as Error).message)) return null
    throw error
  }
}
