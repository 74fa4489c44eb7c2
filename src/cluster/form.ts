import { ClusterNotReadyError } from './errors.js'
import type { ClusterStatus } from './inspect.js'
import type { NodeLink } from './link.js'
import { poll, type ReadyOptions, waitUntilAgreed, waitUntilReady } from './ready.js'
import { parseClusterNodes } from './replies.js'

/** While it forms, gossip carries roles and slots as often as this time-out demands. */
const FORMING_TIMEOUT_MS = 1000

export interface Shape {
  readonly masters: number
  readonly replicasPerMaster: number
}

/** The slots of each master, as inclusive ranges, shared out as `redis-cli --cluster create` does it. */
export function slotRanges(masters: number): (readonly [number, number])[] {
  const share = 16_384 / masters
  return Array.from({ length: masters }, (_, index) => [
    index === 0 ? 0 : Math.round(index * share - 1) + 1,
    index === masters - 1 ? 16_383 : Math.round((index + 1) * share - 1),
  ])
}

/**
 * Makes one cluster of nodes that run and are empty: the first `masters` of them become masters, the others
 * their replicas in turn. Over the protocol rather than by redis-cli, for two reasons: redis-cli returns before
 * the cluster serves (2 to 4 s before, measured), and it is not installed everywhere.
 *
 * Every node is made to MEET every other, twice. Once would do, but then the nodes learn of each other, and
 * later of the replicas' roles, only by gossip, which takes up to 9 s. The price is n² messages, which for the
 * clusters that fit on one machine is nothing. The 2 s that remain are the server's: a master takes no writes
 * until 2 s after its start.
 * @throws ClusterNotReadyError with what was still missing
 */
export async function formCluster(
  links: readonly NodeLink[],
  shape: Shape,
  options: ReadyOptions,
): Promise<ClusterStatus> {
  const masters = links.slice(0, shape.masters)
  const ranges = slotRanges(shape.masters)
  const timeouts = await lowerNodeTimeout(links)

  await Promise.all(links.map((link, index) => link.text('CLUSTER', 'SET-CONFIG-EPOCH', index + 1)))
  await Promise.all(
    masters.map((link, index) => link.text('CLUSTER', 'ADDSLOTSRANGE', ...(ranges[index] ?? []))),
  )
  await meetAll(links)
  const ids = await Promise.all(links.map((link) => link.text('CLUSTER', 'MYID')))
  await Promise.all(
    links.slice(shape.masters).map(async (link, index) => {
      const masterId = ids[index % shape.masters] ?? ''
      await waitUntilKnown(link, masterId, options)
      await link.text('CLUSTER', 'REPLICATE', masterId)
    }),
  )
  await meetAll(links)
  await waitUntilAgreed(links, options)
  await restoreNodeTimeout(links, timeouts)
  return waitUntilReady(links, options)
}

async function meetAll(links: readonly NodeLink[]): Promise<void> {
  await Promise.all(
    links.flatMap((from) =>
      links
        .filter((to) => to !== from)
        .map((to) => from.text('CLUSTER', 'MEET', to.address.host, to.address.port)),
    ),
  )
}

/** A node refuses to replicate one that it has not yet shaken hands with. */
async function waitUntilKnown(link: NodeLink, id: string, options: ReadyOptions): Promise<void> {
  await poll(options, async () => {
    const nodes = parseClusterNodes(await link.text('CLUSTER', 'NODES'), link.address.host)
    const known = nodes.some((node) => node.id === id && !node.flags.includes('handshake'))
    return known ? { done: undefined } : { missing: [`node ${link.address.port} has not met its master`] }
  })
}

/**
 * Lowers cluster-node-timeout on every node and returns what it was. Never written to redis.conf: a node that
 * keeps so low a value takes every pause for a death.
 */
async function lowerNodeTimeout(links: readonly NodeLink[]): Promise<number[]> {
  return Promise.all(
    links.map(async (link) => {
      const timeout = await readNodeTimeout(link)
      if (timeout > FORMING_TIMEOUT_MS) await setNodeTimeout(link, FORMING_TIMEOUT_MS)
      return timeout
    }),
  )
}

async function restoreNodeTimeout(links: readonly NodeLink[], timeouts: readonly number[]): Promise<void> {
  await Promise.all(
    links.map(async (link, index) => {
      const timeout = timeouts[index] ?? 0
      await setNodeTimeout(link, timeout)
      const now = await readNodeTimeout(link)
      if (now !== timeout) {
        const problem = `node ${link.address.port} has cluster-node-timeout ${now} where ${timeout} was set`
        throw new ClusterNotReadyError(0, [problem])
      }
    }),
  )
}

const setNodeTimeout = (link: NodeLink, timeoutMs: number) =>
  link.text('CONFIG', 'SET', 'cluster-node-timeout', timeoutMs)

async function readNodeTimeout(link: NodeLink): Promise<number> {
  const [, value = ''] = (await link.text('CONFIG', 'GET', 'cluster-node-timeout')).split(',')
  return Number(value)
}
