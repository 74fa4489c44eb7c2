import { type Address, type LinkOptions, NodeLink } from '../link.js'
import { observe } from '../observer.js'
import { versionOf } from '../version.js'
import { noWitness } from '../views.js'
import { type Categories, categoriesIn, parseUsers, type StoredUser } from './stored.js'

/** A node that answers, with a link that stays open: who we are may change while we work. */
export interface UserNode {
  readonly name: string
  readonly address: Address
  readonly link: NodeLink
  readonly replicas: boolean
}

export interface FoundNodes {
  readonly nodes: readonly UserNode[]
  readonly silent: readonly { readonly name: string; readonly error: Error }[]
  /** Of the oldest node: a newer one takes the rights of an older one, but not the other way round. */
  readonly version: string
}

/**
 * Finds every node of the cluster, and keeps a link to each until `use` has ended.
 * @throws what the first seed failed with where none answers
 */
export async function withNodes<T>(
  seeds: readonly Address[],
  access: LinkOptions,
  use: (found: FoundNodes) => Promise<T>,
): Promise<T> {
  const observation = await observe(seeds, access)
  const live = observation.nodes.filter((node) => node.up)
  if (live.length === 0) throw noWitness(observation)
  const links: NodeLink[] = []
  try {
    const versions = live.map(({ info }) => versionOf(info))
    const nodes: UserNode[] = []
    const silent = observation.nodes.flatMap((node) =>
      node.up ? [] : [{ name: node.name, error: node.error }],
    )
    for (const { name, address, view, info } of live) {
      try {
        const link = await NodeLink.open(address, access)
        links.push(link)
        const replicas =
          view.some(({ role }) => role === 'replica') || Number(info.get('connected_slaves')) > 0
        nodes.push({ name, address, link, replicas })
      } catch (error) {
        silent.push({ name, error: error as Error })
      }
    }
    return await use({ nodes, silent, version: oldest(versions.map(({ version }) => version)) })
  } finally {
    for (const link of links) link.close()
  }
}

/** Valkey counts on from Redis 7.2, so that its numbers compare with those of Redis. */
function oldest(versions: readonly string[]): string {
  const parts = (version: string) => version.split('.').map(Number)
  const older = (a: string, b: string) => {
    const [one, other] = [parts(a), parts(b)]
    return (one[0] ?? 0) - (other[0] ?? 0) || (one[1] ?? 0) - (other[1] ?? 0)
  }
  return [...versions].sort(older)[0] ?? '7.0'
}

/** @throws NotPermittedError, NodeUnreachableError */
export async function usersOf({ link }: Pick<UserNode, 'link'>): Promise<ReadonlyMap<string, StoredUser>> {
  const lines = (await link.reply('ACL', 'LIST')) as string[]
  return parseUsers(lines, await categoriesOf(link, lines))
}

/** What the categories in lines of ACL LIST mean on this node. */
export async function categoriesOf(link: NodeLink, lines: readonly string[]): Promise<Categories> {
  const categories = categoriesIn(lines).map(
    async (name) => [name, (await link.reply('ACL', 'CAT', name)) as string[]] as const,
  )
  return new Map(await Promise.all(categories))
}
