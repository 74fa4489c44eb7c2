import { InvalidOptionError } from '../../errors.js'
import { ClusterNotReadyError } from '../errors.js'
import { type Evidence, type FixStep, type Left, look, type Party, planFrom } from '../fix/index.js'
import type { Address, LinkOptions } from '../link.js'
import { nameOf } from '../observer.js'
import { poll } from '../ready.js'
import type { NodeView } from '../replies.js'
import { slotsIn } from '../slots.js'
import { campsOf, differencesOf, noWitness, selfOf, witnessesOf } from '../views.js'
import { contentsOf } from './contents.js'
import type { Content } from './plan.js'

/** A failover takes up to 9 s with a cluster-node-timeout of 5 s, and the views some more to become one. */
const PATIENCE_MS = 20_000

export interface SurveyOptions extends LinkOptions {
  /** Longest wait for a cluster whose masters do not all answer or do not agree, in ms. Default 20,000. */
  readonly agreeMs?: number
  readonly signal?: AbortSignal | undefined
}

export interface SurveyedMaster {
  readonly node: Party
  readonly slots: readonly number[]
  /** Names of its replicas. */
  readonly replicas: readonly string[]
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
 * @throws ClusterNotReadyError with what was missing in the end; NodeUnreachableError, AuthenticationError, WrongModeError when no
 *   node can be asked
 */
export async function survey(seeds: readonly Address[], options: SurveyOptions): Promise<Survey> {
  const { agreeMs: timeoutMs = PATIENCE_MS, signal } = options
  const evidence = await poll({ timeoutMs, signal }, async () => {
    const evidence = await look(seeds, { ...options, agreeMs: 0 })
    if (witnessesOf(evidence.observation).length === 0) throw noWitness(evidence.observation)
    const missing = missingIn(evidence)
    return missing.length === 0 ? { done: evidence } : { missing }
  })
  const { steps, left } = planFrom(evidence)
  const serious = left.filter((each) => isOfSlots(each))
  if (serious.length > 0)
    throw new ClusterNotReadyError(
      0,
      serious.map(({ what, remedy }) => `${what}: ${remedy}`),
    )
  return { ...(await shared(evidence, options)), mends: steps }
}

/** A replica that is down is no reason not to move slots between masters. */
const isOfSlots = ({ what }: Left) => /^(\d+ )?slots? /.test(what)

function missingIn({ observation }: Evidence): string[] {
  const camps = campsOf(observation)
  const up = new Set(witnessesOf(observation).map((each) => selfOf(each)?.id))
  const down = (camps[0]?.view ?? []).filter(({ id, role }) => role === 'master' && !up.has(id))
  return [...down.map((node) => `master ${nameOf(node)} does not answer`), ...differencesOf(camps)]
}

async function shared({ observation }: Evidence, options: SurveyOptions): Promise<Omit<Survey, 'mends'>> {
  const view = campsOf(observation)[0]?.view ?? []
  const masters = view
    .filter(({ role }) => role === 'master')
    .map((master) => ({
      node: { id: master.id, host: master.host, port: master.port, name: nameOf(master) },
      slots: slotsIn(master.slots),
      replicas: view.filter(({ masterId }) => masterId === master.id).map(nameOf),
    }))
  return {
    masters,
    contents: await contentsOf(masters, options),
    nodes: new Map(view.map((node) => [node.id, node])),
  }
}

/**
 * The weight of each master: 1, or what was given for it, or for a replica of it, since by a failover a name may come to be
 * that of a replica. @throws InvalidOptionError for a node that is not there, or nothing that could hold a slot
 */
export function weightsOf(
  { masters, nodes }: Pick<Survey, 'masters' | 'nodes'>,
  given: Readonly<Record<string, number>> = {},
): number[] {
  const weights = new Map(masters.map(({ node }) => [node.id, 1]))
  for (const [name, weight] of Object.entries(given)) {
    const found = [...nodes.values()].find((node) => nameOf(node) === name || node.id === name)
    if (!found) throw new InvalidOptionError('weight', `the cluster has no node ${name}`)
    if (!Number.isFinite(weight) || weight < 0)
      throw new InvalidOptionError('weight', `expected 0, 0.5, 1, 2, ... for ${name} and not ${weight}`)
    weights.set(found.masterId ?? found.id, weight)
  }
  if ([...weights.values()].every((weight) => weight === 0))
    throw new InvalidOptionError('weight', 'some master has to keep the slots; not all can have weight 0')
  return masters.map(({ node }) => weights.get(node.id) ?? 1)
}
