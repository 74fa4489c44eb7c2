import { inspectAny, type LocalCluster } from '../../src/cluster/index.js'
import { withLink } from '../../src/cluster/link.js'
import { slotOf } from '../../src/keys/slots.js'
import { owns } from './nodes.js'

/** Commands that are sent before the first of them is answered. */
const FLIGHT = 1_000

export const plainKeys = (count: number) => Array.from({ length: count }, (_, i) => `user:${i}`)

/** Each at the node that owns its slot by now, and no redirect is followed. @returns what was replied, of all */
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
          ...(await Promise.all(own.slice(at, at + FLIGHT).map((name) => link.text(...ask(name))))),
        )
    })
  return replies
}

export async function writeKeys(
  cluster: LocalCluster,
  names: readonly string[],
  value: () => string,
): Promise<void> {
  await eachAtItsOwner(cluster, names, (name) => ['SET', name, value()])
}

/** Those of them that whoever asks the owner of their slot gets. */
export async function readable(cluster: LocalCluster, names: readonly string[]): Promise<number> {
  const replies = await eachAtItsOwner(cluster, names, (name) => ['EXISTS', name])
  return replies.filter((reply) => reply === '1').length
}
