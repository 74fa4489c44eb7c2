import { parseFields } from '../replies.js'
import type { TargetNode } from './target.js'

/** What a node answers that has no room for a write; which node it is, the link says. */
export const isOutOfMemory = (error: Error): error is Error & { readonly node?: string } =>
  /^OOM\b/.test(error.message)

/** For whoever fills a node that takes no more. */
export const MORE_MEMORY =
  'give the masters and their replicas more (CONFIG SET maxmemory BYTES on each, and in redis.conf), or restore into more masters'

export const fullText = (name: string) => `${name} has no memory left for it (maxmemory): ${MORE_MEMORY}`

/** How many keys a node has given up for want of room since it was started. */
export const evictedOn = async ({ link }: TargetNode): Promise<number> =>
  Number(parseFields(await link.text('INFO', 'stats')).get('evicted_keys') ?? 0)

/** For a node that gives up keys which it was given; null: it has given up none since it had given up so many. */
export async function evictionText(node: TargetNode, before: number): Promise<string | null> {
  const evicted = (await evictedOn(node)) - before
  return evicted <= 0
    ? null
    : `${node.name} has thrown ${evicted} keys away: CONFIG SET maxmemory-policy noeviction on each master, and give it more maxmemory`
}
