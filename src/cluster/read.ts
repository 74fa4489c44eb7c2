import type { NodeLink } from './link.js'

/** How a node is asked for keys of a slot: one that imports the slot answers only to ASKING. */
export interface Reader {
  readonly link: NodeLink
  readonly asking: boolean
}

/** Null, too, for a key that has gone since it was listed, when its slot is leaving: the server then says where it might be. */
export async function read(
  { link, asking }: Reader,
  command: string,
  ...args: (string | number | Buffer)[]
): Promise<unknown> {
  try {
    // ASKING holds for the next command of the connection, and both are written before anything else can be.
    const [, reply] = await Promise.all([
      asking ? link.text('ASKING') : undefined,
      link.bytes(command, ...args),
    ])
    return reply
  } catch (error) {
    if ((error as Error).message.startsWith('ASK ')) return null
    throw error
  }
}
