import type { NodeLink } from './link.js'
import { fieldOf } from './replies.js'

/** Libraries of functions that a server has: their code, by their names. */
export async function librariesOf(link: NodeLink): Promise<ReadonlyMap<string, Buffer>> {
  return parseLibraries(await link.bytes('FUNCTION', 'LIST', 'WITHCODE')) as Map<string, Buffer>
}

/** Of what FUNCTION LIST WITHCODE answers: the code of each library, as text or bytes as it came. */
export const parseLibraries = (reply: unknown): Map<string, unknown> =>
  new Map(
    (reply as unknown[]).map((fields) => [
      String(fieldOf(fields, 'library_name')),
      fieldOf(fields, 'library_code'),
    ]),
  )
