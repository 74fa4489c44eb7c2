import type { Redis } from 'ioredis'
import { withoutCommand } from './replies.js'

/** In the words of Redis 7.0 and of Valkey (src/acl.c, AUTH). */
const NOT_NEEDED = /without any password configured|no password is set/

/** Whether AUTH was refused because nobody needs it: everything works without. */
export const isNotNeeded = (error: Error) => NOT_NEEDED.test(error.message)

export function authCommand(username: string | undefined, password = ''): ['AUTH', ...string[]] {
  return username === undefined ? ['AUTH', password] : ['AUTH', username, password]
}

/** @throws the server's refusal */
export async function authenticate(
  redis: Redis,
  username: string | undefined,
  password: string | undefined,
): Promise<void> {
  if (username === undefined && password === undefined) return
  try {
    const [name, ...args] = authCommand(username, password)
    await redis.call(name, ...args)
  } catch (error) {
    const known = withoutCommand(error as Error)
    if (!isNotNeeded(known)) throw known
  }
}
