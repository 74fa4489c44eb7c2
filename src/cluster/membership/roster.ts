import { setTimeout as sleep } from 'node:timers/promises'
import { type Address, isMeant, type LinkOptions } from '../link.js'
import { Observer } from '../observer.js'
import { poll } from '../ready.js'
import type { NodeView } from '../replies.js'
import {
  campsOf,
  differencesOf,
  noWitness,
  selfOf,
  type Witness,
  withoutGone,
  withoutHearsay,
  witnessesOf,
} from '../views.js'

/** Gossip carries roles and slots with pings; a view is whole within half a cluster-node-timeout, 7.5 s by the server's default. */
const PATIENCE_MS = 20_000
const PAUSE_MS = 150

export interface RosterOptions extends LinkOptions {
  /** Longest wait, in ms. Default 20,000. */
  readonly agreeMs?: number
  readonly signal?: AbortSignal | undefined
}

/** Who is in a cluster, as all see it that answer. */
export interface Roster {
  readonly nodes: readonly NodeView[]
  /** What each of those that answer says. */
  readonly witnesses: readonly Witness[]
}

/**
 * Looks until all nodes that answer agree, and nothing is missing any more.
 * @param missingIn what is still to be waited for, in words
 * @throws ClusterNotReadyError with what was missing in the end; NodeUnreachableError, AuthenticationError, WrongModeError when
 *   no node can be asked; InterruptedError
 */
export async function rosterOf(
  seeds: readonly Address[],
  options: RosterOptions,
  missingIn: (roster: Roster) => readonly string[] | Promise<readonly string[]> = () => [],
): Promise<Roster> {
  const observer = new Observer(seeds, options)
  try {
    return await poll({ timeoutMs: options.agreeMs ?? PATIENCE_MS, signal: options.signal }, async () => {
      const observation = withoutGone(await observer.observe())
      const witnesses = witnessesOf(observation)
      if (witnesses.length === 0) throw noWitness(observation)
      const camps = campsOf(withoutHearsay(observation))
      const roster = { nodes: camps[0]?.view ?? [], witnesses }
      const missing = [...differencesOf(camps), ...(await missingIn(roster))]
      if (missing.length === 0) return { done: roster }
      // Every node is asked for all that it knows: oftener, and queues would feel it.
      await sleep(PAUSE_MS)
      return { missing }
    })
  } finally {
    observer.close()
  }
}

/** What a node says itself; undefined when it does not answer. */
export const witnessFor = ({ witnesses }: Roster, id: string) =>
  witnesses.find((each) => selfOf(each)?.id === id)

/** Nodes that do not answer. */
export const silentIn = (roster: Roster) => roster.nodes.filter(({ id }) => !witnessFor(roster, id))

/** By `host:port` or id. */
export const findNode = ({ nodes }: Pick<Roster, 'nodes'>, name: string) =>
  nodes.find((node) => isMeant(node, name))

export const replicasOf = ({ nodes }: Pick<Roster, 'nodes'>, id: string) =>
  nodes.filter(({ masterId }) => masterId === id)
