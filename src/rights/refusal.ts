import { AuthenticationError, NotPermittedError } from '../errors.js'

/** A script that was stopped in its midst; servers before 7.2 do not say NOPERM then, nor which command it was. */
const IN_SCRIPT = /ACL failure in script|The user executing the script can't/

/** In the words of Redis 7.0 and of later ones (redis/src/acl.c, script.c). */
const MISSING: readonly (readonly [pattern: RegExp, missing: (name: string) => string])[] = [
  [/permissions to run the '([^']+)' command/, (name) => `run '${name}'`],
  [/can't run this command/, () => 'run a command of the script'],
  [/access (?:a|one of the|at least one of the) keys?/, () => 'access the key'],
  [/access (?:a|one of the|at least one of the) channels?/, () => 'use the channel'],
]

/** Whether the server refuses for lack of credentials or rights. */
export function isRefusal(error: Error): boolean {
  return /^(NOAUTH|WRONGPASS)\b/.test(error.message) || isRight(error)
}

const isRight = ({ message }: Error) => message.startsWith('NOPERM') || IN_SCRIPT.test(message)

/** Whether a script may have done a part of its work before it was refused. */
export function isRefusalInScript({ message }: Error): boolean {
  return IN_SCRIPT.test(message)
}

/** What a refusal (`isRefusal`) means to whoever is refused. */
export function refusalOf(node: string, error: Error): AuthenticationError {
  // Not the error itself: ioredis hangs the command on it, password and all.
  const cause = new Error(error.message)
  if (!isRight(error)) return new AuthenticationError(node, { cause })
  for (const [pattern, missing] of MISSING) {
    const match = pattern.exec(error.message)
    if (match) return new NotPermittedError(node, missing(match[1] ?? ''), { cause })
  }
  return new NotPermittedError(node, 'do this', { cause })
}
