import { ClusterNotReadyError } from './errors.js'
import type { ClusterStatus } from './inspect.js'
import { type NodeLink, nameOf } from './link.js'
import { type MeetingPoint, meetAll, waitUntilMet } from './meet.js'
import { BUS_OFFSET } from './ports.js'
import { type ReadyOptions, waitUntilAgreed, waitUntilReady } from './ready.js'
import { settingOf } from './settings-read.js'

export interface Shape {
  readonly masters: number
  readonly replicasPerMaster: number
  /** Whom each replica follows: a number below `masters` for every link beyond those. Default: the masters in turn. */
  readonly follows?: readonly number[]
}

export interface FormOptions extends ReadyOptions {
  /** One for each link. Default: where we reach them, and the bus at the port + 10000. */
  readonly meetAt?: readonly MeetingPoint[]
  /**
   * cluster-node-timeout while it forms, in ms; the old value is put back in the end. A node that is not just starting serves so long
   * after it has got its slots (0.5 to 5 s), so less is faster. For nodes alone that are removed when we are killed meanwhile: on any
   * other it would stay, and be taken for what was there before. Default: as it is.
   */
  readonly formingTimeoutMs?: number
  /** Told of each node from the moment on when it is no longer as it was, with the id that it had then. */
  readonly onClaimed?: (link: NodeLink, id: string) => void
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
 * their replicas. Over the protocol rather than by redis-cli, for two reasons: redis-cli returns before
 * the cluster serves (2 to 4 s before, measured), and it is not installed everywhere.
 *
 * Every node is made to MEET every other, twice. Once would do, but then the nodes learn of each other, and
 * later of the replicas' roles, only by gossip, which takes up to 9 s. The price is n² messages, which for a few
 * dozen nodes is nothing. The 2 s that remain for servers just started are their own: a master takes no writes
 * until 2 s after its start.
 * @throws ClusterNotReadyError with what was still missing
 */
export async function formCluster(
  links: readonly NodeLink[],
  shape: Shape,
  options: FormOptions,
): Promise<ClusterStatus> {
  const masters = links.slice(0, shape.masters)
  const ranges = slotRanges(shape.masters)
  const points =
    options.meetAt ?? links.map(({ address }) => ({ ...address, busPort: address.port + BUS_OFFSET }))
  await claim(links, options)
  const { formingTimeoutMs } = options
  const timeouts = formingTimeoutMs === undefined ? null : await lowerNodeTimeout(links, formingTimeoutMs)

  await Promise.all(
    masters.map((link, index) => link.text('CLUSTER', 'ADDSLOTSRANGE', ...(ranges[index] ?? []))),
  )
  const ids = await Promise.all(links.map((link) => link.text('CLUSTER', 'MYID')))
  await meetAll(links, points)
  await waitUntilMet(links, points, ids, options)
  await Promise.all(
    links.slice(shape.masters).map(async (link, index) => {
      const master = shape.follows?.[index] ?? index % shape.masters
      await link.text('CLUSTER', 'REPLICATE', ids[master] ?? '')
    }),
  )
  await meetAll(links, points)
  await waitUntilAgreed(links, options)
  if (timeouts) await restoreNodeTimeout(links, timeouts)
  return waitUntilReady(links, options)
}

/**
 * Gives each node its epoch. A server takes one only while it knows nobody and has none, so of two that make clusters of
 * the same nodes at once neither gets those that the other has begun with.
 */
async function claim(links: readonly NodeLink[], { onClaimed }: FormOptions): Promise<void> {
  const claims = await Promise.allSettled(
    links.map(async (link, index) => {
      // Before: who is reset after the claim has another id.
      const id = await link.text('CLUSTER', 'MYID')
      await link.text('CLUSTER', 'SET-CONFIG-EPOCH', index + 1)
      onClaimed?.(link, id)
    }),
  )
  const refused = claims.find((each) => each.status === 'rejected')
  if (refused) throw refused.reason
}

/**
 * Lowers cluster-node-timeout on every node and returns what it was. Never written to redis.conf: a node that
 * keeps so low a value takes every pause for a death.
 */
async function lowerNodeTimeout(links: readonly NodeLink[], toMs: number): Promise<number[]> {
  return Promise.all(
    links.map(async (link) => {
      const timeout = await readNodeTimeout(link)
      if (timeout > toMs) await setNodeTimeout(link, toMs)
      return timeout
    }),
  )
}

/** Sets cluster-node-timeout on every node and reads it back. @throws ClusterNotReadyError */
async function restoreNodeTimeout(links: readonly NodeLink[], timeouts: readonly number[]): Promise<void> {
  await Promise.all(
    links.map(async (link, index) => {
      const timeout = timeouts[index] ?? 0
      await setNodeTimeout(link, timeout)
      const now = await readNodeTimeout(link)
      if (now !== timeout) {
        const problem = `${nameOf(link.address)} has cluster-node-timeout ${now} where ${timeout} was set`
        throw new ClusterNotReadyError(0, [problem])
      }
    }),
  )
}

const setNodeTimeout = (link: NodeLink, timeoutMs: number) =>
  link.text('CONFIG', 'SET', 'cluster-node-timeout', timeoutMs)

const readNodeTimeout = async (link: NodeLink) => Number(await settingOf(link, 'cluster-node-timeout'))
