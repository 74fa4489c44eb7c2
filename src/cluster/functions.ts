import type { Written } from '../connection/host.js'
import type { LinkOptions, NodeLink } from './link.js'
import { redisCli } from './redis-cli.js'
import { fieldOf } from './replies.js'

export interface Library<Code = Buffer> {
  readonly code: Code
  /** Names of its functions, of which a server has each but once, whatever its case. */
  readonly functions: readonly string[]
}

/** Libraries of functions that a server has, by their names. */
export async function librariesOf(link: NodeLink): Promise<ReadonlyMap<string, Library>> {
  return parseLibraries(await link.bytes('FUNCTION', 'LIST', 'WITHCODE')) as Map<string, Library>
}

/** Of what FUNCTION LIST WITHCODE answers; code as text or bytes, as it came. */
export const parseLibraries = (reply: unknown): Map<string, Library<unknown>> =>
  new Map(
    (reply as unknown[]).map((fields) => [
      String(fieldOf(fields, 'library_name')),
      {
        code: fieldOf(fields, 'library_code'),
        functions: ((fieldOf(fields, 'functions') ?? []) as unknown[]).map((each) =>
          String(fieldOf(each, 'name')),
        ),
      },
    ]),
  )

/**
 * Copies all libraries from one node to another by hand. What is there already under the same name stays, and is an error, since nobody can know
 * which is right.
 * @param replace unless they are known to be the same
 */
export const copyFunctions = (
  from: Written,
  to: Written,
  access: Pick<LinkOptions, 'tls'>,
  { replace = false } = {},
): string => {
  const restore = replace ? '-X dump FUNCTION RESTORE dump REPLACE' : '-x FUNCTION RESTORE'
  return `${redisCli(from, access, 'FUNCTION DUMP')} | head -c -1 | ${redisCli(to, access, restore)}`
}
