import { type Address, type LinkOptions, nameOf, withLink } from '../link.js'
import { hasMet, INTRODUCTION_MS, notThrough, numbersOf } from '../meet.js'
import type { NodeView } from '../replies.js'
import { findNode, type Roster, type RosterOptions, rosterOf, witnessFor } from './roster.js'

export interface Newcomer extends Address {
  readonly id: string
  readonly busPort: number
}

/**
 * Introduces a node to all others, and all others to it, and waits until every one of them lists it and is linked to it, and it
 * serves: MEET answers OK before anything has happened. @throws ClusterNotReadyError naming those that do not get through
 */
export async function join(
  seeds: readonly Address[],
  newcomer: Newcomer,
  options: RosterOptions,
): Promise<Roster> {
  const before = await rosterOf(seeds, options)
  const address = { ...newcomer, host: (await numbersOf(newcomer.host)) ?? newcomer.host }
  const introduce = () => meetAll(address, before, options)
  await introduce()
  let metAtMs = performance.now()
  // Found from it too: until the others know it, nobody but we could ask it.
  return rosterOf([...seeds, newcomer], options, async (roster) => {
    const missing = strangersTo(newcomer, roster)
    if (missing.length > 0 && performance.now() - metAtMs > INTRODUCTION_MS) {
      await introduce()
      metAtMs = performance.now()
    }
    return missing
  })
}

async function meetAll(
  newcomer: Newcomer,
  { witnesses, nodes }: Roster,
  options: LinkOptions,
): Promise<void> {
  const meet = (at: Address, { host, port, busPort }: Pick<NodeView, 'host' | 'port' | 'busPort'>) =>
    withLink(at, options, (link) => link.text('CLUSTER', 'MEET', host, port, busPort))
  const others = nodes.filter(({ id }) => id !== newcomer.id)
  await Promise.all([
    ...others.map((other) => meet(newcomer, other)),
    ...witnesses
      .filter(({ address }) => nameOf(address) !== nameOf(newcomer))
      .map(({ address }) => meet(address, newcomer)),
  ])
}

function strangersTo(newcomer: Newcomer, { nodes, witnesses }: Roster): string[] {
  const missing = witnesses.flatMap(({ name, view }) => {
    const line = view.find(({ id }) => id === newcomer.id)
    return hasMet(line) ? [] : [notThrough(name, newcomer)]
  })
  const own = witnessFor({ nodes, witnesses }, newcomer.id)
  if (!own) return [...missing, `${nameOf(newcomer)} does not answer`]
  // It takes nothing, no slot either, until it has heard from a majority for a while.
  if (own.clusterInfo.get('cluster_state') !== 'ok') missing.push(`${own.name} says cluster_state:fail`)
  return missing
}

/** Makes a node a replica, and waits until it has its master's data and all see it so. */
export async function follow(
  seeds: readonly Address[],
  replica: Pick<NodeView, 'id' | 'host' | 'port'>,
  master: Pick<NodeView, 'id' | 'host' | 'port'>,
  options: RosterOptions,
): Promise<Roster> {
  await withLink(replica, options, (link) => link.text('CLUSTER', 'REPLICATE', master.id))
  return rosterOf(seeds, options, (roster) => {
    const own = witnessFor(roster, replica.id)
    const missing: string[] = []
    if (findNode(roster, replica.id)?.masterId !== master.id)
      missing.push(`${nameOf(replica)} is not seen as a replica of ${nameOf(master)}`)
    if (own?.info.get('master_link_status') !== 'up')
      missing.push(`${nameOf(replica)} has no link to its master ${nameOf(master)}`)
    return missing
  })
}
