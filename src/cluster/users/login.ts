import { AuthenticationError, NotPermittedError } from '../../errors.js'
import type { LinkOptions } from '../link.js'

interface Login extends LinkOptions {
  readonly passwords?: ReadonlyMap<string, string> | undefined
}

/**
 * Whoever changes their own password logs in with the one that they have, or with the one that they give: a change that was broken off has
 * left nodes that take one of the two only.
 */
export function withEitherPassword<Options extends Login>(options: Options): Options {
  const { username, password, passwords } = options
  const given = username === undefined ? undefined : passwords?.get(username)
  return given === undefined || given === password ? options : { ...options, otherPassword: given }
}

/** A refusal that says what else may be tried, where the password is being changed with which we log in. */
export function refusalToldBy({ username, passwords }: Login, error: Error): Error {
  const isRefused = error instanceof AuthenticationError && !(error instanceof NotPermittedError)
  if (!isRefused || username === undefined || !passwords?.has(username)) return error
  const problem =
    `refused the credentials of ${username}, whose password is to change: if a change of it was broken off, this node has the ` +
    `earlier one; log in with that (SHARDQ_REDIS_PASSWORD), and give the new one as --password-file ${username}=FILE`
  return new AuthenticationError(error.node, { cause: error }, problem)
}

/** @throws what `use` throws, a refusal as `refusalToldBy` */
export async function toldWhichPassword<Result>(login: Login, use: () => Promise<Result>): Promise<Result> {
  try {
    return await use()
  } catch (error) {
    throw refusalToldBy(login, error as Error)
  }
}
