import { InvalidOptionError } from '../errors.js'

/** A server that is to become a node, and the machine that it stands or falls with. */
export interface Placed {
  /** `host:port`, as it is to be shown. */
  readonly name: string
  /** The same for all nodes that are lost together: the machine's address. */
  readonly host: string
}

/** Who becomes what. Indices are those of the nodes that were given. */
export interface Spread {
  readonly masters: readonly number[]
  readonly replicas: readonly { readonly node: number; readonly master: number }[]
  /** What does not survive the loss of one host, and why it cannot be had with these nodes. Empty: everything does. */
  readonly shortcomings: readonly string[]
}

/** Fewer can neither elect nor outvote. */
const FEWEST_MASTERS = 3

/**
 * Shares out the roles, so that the loss of one host costs as little as can be: no host has so many masters that those left
 * are no majority, and none has a master and its own replica; where both can be had, both are had. Replicas of one master
 * are kept apart too, as far as exchanging two of them achieves it.
 * @throws InvalidOptionError when the nodes do not come out even, or make fewer than 3 masters
 */
export function spread(nodes: readonly Placed[], replicasPerMaster: number): Spread {
  const masterCount = mastersOf(nodes.length, replicasPerMaster)
  const masters = chooseMasters(nodes, masterCount, replicasPerMaster)
  const rest = inTurn(
    nodes.flatMap((_, index) => (masters.includes(index) ? [] : [index])),
    nodes,
  )
  // From round to round one further, so that a host's second replica goes to another master than its first.
  const pairs = rest.map((node, index) => {
    const round = Math.floor(index / masterCount)
    return { node, master: masters[(index + 1 + round) % masterCount] as number }
  })
  exchangeUntilBest(pairs, nodes)
  const replicas = pairs.sort((a, b) => masters.indexOf(a.master) - masters.indexOf(b.master))
  const shortcomings = [
    ...missingReplicas(replicasPerMaster),
    ...lostMajorities(nodes, masters),
    ...lostPairs(nodes, replicas),
  ]
  return { masters, replicas, shortcomings }
}

function mastersOf(count: number, replicasPerMaster: number): number {
  if (!Number.isInteger(replicasPerMaster) || replicasPerMaster < 0)
    throw new InvalidOptionError('replicasPerMaster', `expected 0, 1, 2, ... and not ${replicasPerMaster}`)
  const share = replicasPerMaster + 1
  const masters = Math.floor(count / share)
  if (masters < FEWEST_MASTERS) {
    const problem = `${count} make ${masters} masters with ${replicasPerMaster} replicas each; a cluster needs at least 3 masters`
    throw new InvalidOptionError('nodes', `${problem}, so name at least ${FEWEST_MASTERS * share}`)
  }
  if (masters * share !== count) {
    const problem = `${count} do not come out even with ${replicasPerMaster} replicas for each master`
    throw new InvalidOptionError('nodes', `${problem}; name ${masters * share} or ${(masters + 1) * share}`)
  }
  return masters
}

/** Of so many masters, how many may be lost at once while the others still are a majority of all. */
const mostLost = (masters: number) => Math.ceil(masters / 2) - 1

function countBy(indices: readonly number[], nodes: readonly Placed[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const index of indices) {
    const host = nodes[index]?.host ?? ''
    counts.set(host, (counts.get(host) ?? 0) + 1)
  }
  return counts
}

/**
 * One after the other, each on the host that has the fewest so far. That keeps the largest number on one host as low as
 * can be, and by that leaves replicas the most masters elsewhere: those of a host need so many places with masters of
 * other hosts. With two or more replicas for each master a crowded host may have to have fewer masters than others.
 */
function chooseMasters(nodes: readonly Placed[], count: number, replicasPerMaster: number): number[] {
  const size = countBy([...nodes.keys()], nodes)
  const chosen: number[] = []
  const isCrowded = (host: string, has: number) =>
    (size.get(host) ?? 0) - (has + 1) > replicasPerMaster * (count - (has + 1))
  while (chosen.length < count) {
    const has = countBy(chosen, nodes)
    const rank = (index: number): [number, number, number] => {
      const host = nodes[index]?.host ?? ''
      const own = has.get(host) ?? 0
      return [isCrowded(host, own) ? 1 : 0, own, index]
    }
    const free = [...nodes.keys()].filter((index) => !chosen.includes(index))
    const [best = 0] = free.sort((a, b) => compare(rank(a), rank(b)))
    chosen.push(best)
  }
  return chosen
}

/** One of each host, then the second of each, and so on. */
function inTurn(indices: readonly number[], nodes: readonly Placed[]): number[] {
  const seen = new Map<string, number>()
  const turns = indices.map((index) => {
    const host = nodes[index]?.host ?? ''
    const turn = seen.get(host) ?? 0
    seen.set(host, turn + 1)
    return { index, turn }
  })
  return turns.sort((a, b) => a.turn - b.turn).map(({ index }) => index)
}

function compare(a: readonly number[], b: readonly number[]): number {
  const at = a.findIndex((value, index) => value !== b[index])
  return at < 0 ? 0 : (a[at] ?? 0) - (b[at] ?? 0)
}

type Pair = { node: number; master: number }

/**
 * Exchanges the masters of two replicas wherever it makes things better. It ends at the best for master and replica: a replica
 * that is with its master can always be exchanged, unless all others are on that host or follow masters of it, and then
 * its host has more replicas than there are places elsewhere.
 */
function exchangeUntilBest(pairs: Pair[], nodes: readonly Placed[]): void {
  const hostOf = (index: number) => nodes[index]?.host
  const siblings = (pair: Pair, master: number) =>
    pairs.filter((each) => each !== pair && each.master === master && hostOf(each.node) === hostOf(pair.node))
      .length
  const cost = (pair: Pair) =>
    (hostOf(pair.node) === hostOf(pair.master) ? pairs.length * pairs.length : 0) +
    siblings(pair, pair.master)
  for (let better = true; better; ) {
    better = false
    for (const a of pairs)
      for (const b of pairs) {
        if (a.master === b.master) continue
        const before = cost(a) + cost(b)
        if (before === 0) continue
        ;[a.master, b.master] = [b.master, a.master]
        if (cost(a) + cost(b) < before) better = true
        else [a.master, b.master] = [b.master, a.master]
      }
  }
}

function missingReplicas(replicasPerMaster: number): string[] {
  return replicasPerMaster > 0
    ? []
    : ['no master has a replica: with any node, its share of the slots and all that is in them is lost']
}

function lostMajorities(nodes: readonly Placed[], masters: readonly number[]): string[] {
  const hosts = new Set(nodes.map(({ host }) => host)).size
  const most = mostLost(masters.length)
  return [...countBy(masters, nodes)].flatMap(([host, count]) => {
    if (count <= most) return []
    const what = `${host} has ${count} of ${masters.length} masters: without it the others are no majority, and no replica can take over`
    const least = Math.ceil(masters.length / most)
    const why =
      hosts < least
        ? `it takes nodes on at least ${least} hosts, and here are ${hosts}`
        : 'the other hosts have too few nodes to take more of the masters'
    return [`${what}; ${why}`]
  })
}

function lostPairs(nodes: readonly Placed[], replicas: readonly Pair[]): string[] {
  const name = (index: number) => nodes[index]?.name ?? ''
  const byHost = new Map<string, string[]>()
  for (const { node, master } of replicas) {
    const host = nodes[node]?.host ?? ''
    if (host !== nodes[master]?.host) continue
    byHost.set(host, [...(byHost.get(host) ?? []), `${name(node)} of ${name(master)}`])
  }
  return [...byHost].map(
    ([host, pairs]) =>
      `${host} has masters and their own replicas (${pairs.join(', ')}): with it both are lost; ` +
      'it has more nodes than the other hosts can be matched with',
  )
}
