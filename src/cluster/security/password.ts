import { randomBytes } from 'node:crypto'
import { InvalidOptionError } from '../../errors.js'

/** Redis takes no longer one. */
const MOST_BYTES = 512
/** 256 bits: Redis hashes passwords without salt and answers a million guesses a second, so a short one is none. */
const GENERATED_BYTES = 32

/** A password that nobody can guess, of letters, digits, `-` and `_`. */
export const generatePassword = (): string => randomBytes(GENERATED_BYTES).toString('base64url')

/** @throws InvalidOptionError, without the password, where Redis could not take it */
export function checkPassword(password: string, option: string): string {
  const bytes = Buffer.byteLength(password)
  if (bytes === 0 || bytes > MOST_BYTES) {
    throw new InvalidOptionError(option, `expected 1 to ${MOST_BYTES} bytes, got ${bytes}`)
  }
  // It stands on one line of redis.conf, and on one line of a file.
  if ([...password].some((letter) => letter < ' ' || letter === '\x7f')) {
    throw new InvalidOptionError(option, 'expected text without line ends and control characters')
  }
  return password
}
