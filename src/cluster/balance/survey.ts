import { setTimeout as sleep } from 'node:timers/promises'
import { InvalidOptionError } from '../../errors.js'
import { ClusterNotReadyError } from '../errors.js'
import { type Evidence, type FixStep, isMend, type Left, look, type Party, planFrom } from '../fix/index.js'
import { type Address, isMeant, type LinkOptions, nameOf } from '../link.js'
import { noSuchNode } from '../no-such-node.js'
import { poll } from '../ready.js'
import type { NodeView } from '../replies.js'
import { slotsIn } from '../slots.js'
import { campsOf, differencesOf, noWitness, selfOf, witnessesOf } from '../views.js'
import { contentsOf } from './contents.js'
import type { Content } from './plan.js'

/** A failover takes up to 9 s with a cluster-node-timeout of 5 s, and the views some more to become one. */
export const PATIENCE_MS = 20_000
/** For so long one look waits for views to become one. What differs still, does not pass by itself. */
const LOOK_MS = 5_000
const PAUSE_MS = 500

export interface SurveyOptions extends LinkOptions {
  /** Longest wait for a cluster whose masters do not all answer or do not agree, in ms. Default 20,000. */
  readonly agreeMs?: number
  readonly signal?: AbortSignal | undefined
  /** A master without a replica is wanted, and so none is to become one. Default false. */
  readonly leaveUnprotected?: boolean
}

export interface SurveyedMaster {
  readonly node: Party
  readonly slots: readonly number[]
  /** Names of its replicas. */
  readonly replicas: readonly string[]
  /** How many of them follow it now. */
  readonly following: number
}

/** Who has what, of a cluster whose masters all answer and agree. */
export interface Survey {
  readonly masters: readonly SurveyedMaster[]
  readonly contents: ReadonlyMap<number, Content>
  /** What an operation that was cut off has left, and what finishes it. Before that, no slot is to be moved. */
  readonly mends: readonly FixStep[]
  /** Every node, master or replica, by id. */
  readonly nodes: ReadonlyMap<string, NodeView>
}

/**
 * Looks until every master answers and all that answer agree.
 * @param known what is in the slots, if that was read a moment ago: it stays the same, whoever owns them
 * @throws ClusterNotReadyError with what was missing in the end; NodeUnreachableError, AuthenticationError, WrongModeError when no
 *   node can be asked
 */
export async function survey(
  seeds: readonly Address[],
  options: SurveyOptions,
  known?: Survey['contents'],
): Promise<Survey> {
  const { agreeMs: timeoutMs = PATIENCE_MS, signal } = options
  // A look counts keys of thousands of slots, so that is not what is waited with.
  const evidence = await poll({ timeoutMs, signal }, async () => {
    const evidence = await look(seeds, { ...options, agreeMs: LOOK_MS })
    if (witnessesOf(evidence.observation).length === 0) throw noWitness(evidence.observation)
    const missing = missingIn(evidence)
    if (missing.length === 0) return { done: evidence }
    await sleep(PAUSE_MS)
    return { missing }
  })
  const { steps, left } = planFrom(evidence)
  const serious = left.filter((each) => isOfSlots(each))
  if (serious.length > 0)
    throw new ClusterNotReadyError(
      0,
      serious.map(({ what, remedy }) => `${what}: ${remedy}`),
    )
  const isWanted = (step: FixStep) => isMend(step) && !(options.leaveUnprotected && step.kind === 'rejoin')
  return { ...(await shared(evidence, options, known)), mends: steps.filter(isWanted) }
}

/** A replica that is down is no reason not to move slots away from its master; who gets slots is looked at apart (unprotected.ts). */
const isOfSlots = ({ what }: Left) => /^(\d+ )?slots? /.test(what)

function missingIn(evidence: Evidence): string[] {
  const { observation } = evidence
  const camps = campsOf(observation)
  const up = new Set(witnessesOf(observation).map((each) => selfOf(each)?.id))
  const down = (camps[0]?.view ?? []).filter(({ id, role }) => role === 'master' && !up.has(id))
  if (down.length > 0) return down.map((node) => `master ${nameOf(node)} does not answer`)
  // Killed between two round trips, a move leaves slots that their old owner takes for the new one's, and all others for the old
  // one's. Nobody claims them, and a mend gives them to somebody; that makes views one.
  return planFrom(evidence).steps.some(isMend) ? [] : differencesOf(camps)
}

async function shared(
  { observation }: Evidence,
  options: SurveyOptions,
  known: Survey['contents'] | undefined,
): Promise<Omit<Survey, 'mends'>> {
  const view = campsOf(observation)[0]?.view ?? []
  const follows = witnessesOf(observation)
    .filter(({ info }) => info.get('master_link_status') === 'up')
    .map((each) => selfOf(each)?.masterId)
  const masters = view
    .filter(({ role }) => role === 'master')
    .map((master) => ({
      node: { id: master.id, host: master.host, port: master.port, name: nameOf(master) },
      slots: slotsIn(master.slots),
      replicas: view.filter(({ masterId }) => masterId === master.id).map(nameOf),
      following: follows.filter((id) => id === master.id).length,
    }))
  return {
    masters,
    contents: known ?? (await contentsOf(masters, options)),
    nodes: new Map(view.map((node) => [node.id, node])),
  }
}

/** By the id of a node: what its master weighs, now and after a failover. Whoever is not in it weighs 1. */
export type Weights = ReadonlyMap<string, number>

/**
 * Whom the weights are for that were given by name. Found once, in the beginning: a master that has been emptied becomes a replica of
 * another, which is not to be emptied therefore.
 * @throws InvalidOptionError for a node that is not there or is no master, or nothing that could hold a slot
 */
export function weightsFor(
  { masters, nodes }: Pick<Survey, 'masters' | 'nodes'>,
  given: Readonly<Record<string, number>> = {},
): Weights {
  const weights = new Map<string, number>()
  const all = [...nodes.values()]
  for (const [name, weight] of Object.entries(given)) {
    const found = all.find((node) => isMeant(node, name))
    if (!found) throw noSuchNode('weight', name)
    if (!Number.isFinite(weight) || weight < 0)
      throw new InvalidOptionError('weight', `expected 0, 0.5, 1, 2, ... for ${name} and not ${weight}`)
    if (found.role === 'master') {
      for (const { id, masterId } of all)
        if (id === found.id || masterId === found.id) weights.set(id, weight)
    } else if (weight > 0) {
      const master = nodes.get(found.masterId ?? '')
      const other = master ? `; name its master: --weight ${nameOf(master)}=${weight}` : ''
      throw new InvalidOptionError('weight', `${name} is a replica and has no slots${other}`)
    }
  }
  if (masters.every(({ node }) => weights.get(node.id) === 0))
    throw new InvalidOptionError('weight', 'some master has to keep the slots; not all can have weight 0')
  return weights
}
