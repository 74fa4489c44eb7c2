import { NodeLink } from '../../src/cluster/link.js'

interface Owner {
  readonly slots: readonly (readonly [number, number])[]
}

export const owns = ({ slots }: Owner, slot: number) =>
  slots.some(([first, last]) => first <= slot && slot <= last)

/** Sends one command to one node of this machine, and nothing is redirected. */
export async function tell(port: number, command: string, ...args: (string | number)[]): Promise<string> {
  return tellAll(port, [[command, ...args]]).then(([reply = '']) => reply)
}

/** As `tell`, several over one connection: ASKING holds for the next. */
export async function tellAll(
  port: number,
  commands: readonly (readonly [string, ...(string | number)[]])[],
): Promise<string[]> {
  const link = await NodeLink.open({ host: '127.0.0.1', port }, { timeoutMs: 5_000 })
  try {
    const replies: string[] = []
    for (const [command, ...args] of commands) replies.push(await link.text(command, ...args))
    return replies
  } finally {
    link.close()
  }
}

/** DELSLOTS of a slot that the node has lost sight of by itself. */
export function unlessUnassigned(error: Error): void {
  if (!/already unassigned/i.test(error.message)) throw error
}
