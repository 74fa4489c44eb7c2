import { inspectAny, type LocalCluster } from '../../src/cluster/index.js'
import { withLink } from '../../src/cluster/link.js'
import { slotOf } from '../../src/keys/slots.js'
import { owns, tellAll } from './nodes.js'

/** Commands that are sent before the first of them is answered. */
const FLIGHT = 1_000

export const plainKeys = (count: number) => Array.from({ length: count }, (_, i) => `user:${i}`)

/** Each at the node that owns its slot by now, or to which that one sends whoever asks. @returns what was replied, of all */
async function eachAtItsOwner(
  cluster: LocalCluster,
  names: readonly string[],
  ask: (name: string) => [string, ...string[]],
): Promise<string[]> {
  const { nodes } = await inspectAny(cluster.seeds)
  const replies: string[] = []
  for (const node of nodes.filter(({ role, flags }) => role === 'master' && !flags.includes('fail')))
    await withLink(node, { timeoutMs: 30_000 }, async (link) => {
      const own = names.filter((name) => owns(node, slotOf(name)))
      for (let at = 0; at < own.length; at += FLIGHT)
        replies.push(
          ...(await Promise.all(
            own.slice(at, at + FLIGHT).map((name) => {
              const command = ask(name)
              return link.text(...command).catch((error: Error) => sentOn(error, command))
            }),
          )),
        )
    })
  return replies
}

/** To the other end of a slot that is on its way. */
async function sentOn(error: Error, command: [string, ...string[]]): Promise<string> {
  const port = /^ASK \d+ \S+:(\d+)$/.exec(error.message)?.[1]
  if (port === undefined) throw error
  const [, reply = ''] = await tellAll(Number(port), [['ASKING'], command])
  return reply
}

export async function writeKeys(
  cluster: LocalCluster,
  names: readonly string[],
  value: () => string,
): Promise<void> {
  await eachAtItsOwner(cluster, names, (name) => ['SET', name, value()])
}

/** How many of them whoever asks for them gets. */
export async function readable(cluster: LocalCluster, names: readonly string[]): Promise<number> {
  const replies = await eachAtItsOwner(cluster, names, (name) => ['EXISTS', name])
  return replies.filter((reply) => reply === '1').length
}
