/** One cluster of servers that run already, on any hosts: looked at, planned, made, and undone where that fails. */
import { InvalidOptionError } from '../../errors.js'
import { CreateRefusedError } from '../errors.js'
import type { Address, LinkOptions } from '../link.js'
import { observe } from '../observer.js'
import { onlyLibraries } from '../only-libraries.js'
import { type Deed, mustBeAgreed } from '../operation/agreed.js'
import { ALL_SLOTS, countIn } from '../slots.js'
import { spread } from '../spread.js'
import { campsOf, witnessesOf } from '../views.js'
import { type Candidate, lookAt, selfIn } from './candidates.js'
import { carryOut } from './carry-out.js'
import { judge } from './obstacles.js'
import {
  type CreatedCluster,
  type CreateOptions,
  type CreatePlan,
  type Ordered,
  plannedNodes,
} from './plan.js'

export type { NewNode } from './candidates.js'
export type { CreatedCluster, CreateOptions, CreatePlan, PlannedNode } from './plan.js'

/** What is to be done, and a function that does it. */
export interface PlannedCreate extends CreatePlan {
  /** Looks once more. @throws PlanChangedError when a server is not as it was; CreateRefusedError, CreateFailedError */
  run(): Promise<CreatedCluster>
}

/**
 * Looks at the servers and makes a plan. Changes nothing until `run`.
 * @throws CreateRefusedError with everything that is in the way; InvalidOptionError
 */
export async function planCreate(options: CreateOptions): Promise<PlannedCreate> {
  const { nodes, replicasPerMaster = 1, reset = false } = options
  // Before anything is asked: a number that does not come out even needs no look.
  spread(
    nodes.map(({ host }) => ({ name: host, host })),
    replicasPerMaster,
  )
  for (const { busPort } of nodes)
    if (busPort !== undefined && (busPort < 1 || busPort > 65_535))
      throw new InvalidOptionError('nodes', `${busPort} is no port for a cluster bus (1 to 65535)`)

  const { plan, shortcomings, warnings } = await look(options)
  const run = async () => {
    // There is no lock before there is a cluster; each server says who it is, just before it is changed.
    const now = await look(options)
    mustBeAgreed(
      reset ? 'create --reset' : 'create',
      plan.candidates.map(deedOf),
      now.plan.candidates.map(deedOf),
    )
    return carryOut(now.plan, options)
  }
  return {
    nodes: plannedNodes(plan),
    shortcomings,
    warnings,
    resets: plan.leftovers.map(({ name }) => name),
    run,
  }
}

interface Looked {
  readonly plan: Ordered
  readonly shortcomings: readonly string[]
  readonly warnings: readonly string[]
}

/** @throws CreateRefusedError */
async function look({ nodes, replicasPerMaster = 1, ...options }: CreateOptions): Promise<Looked> {
  const { reset = false, username } = options
  const candidates = await lookAt(nodes, options)
  const { problems, warnings, leftovers } = judge(candidates, { reset, username })
  if (problems.length > 0) throw new CreateRefusedError(problems)
  const roles = spread(
    candidates.map(({ name, ip, address }) => ({ name, host: ip ?? address.host })),
    replicasPerMaster,
  )
  const order = [...roles.masters, ...roles.replicas.map(({ node }) => node)]
  const follows = roles.replicas.map(({ master }) => roles.masters.indexOf(master))
  const lost = await losing(
    order.map((index) => candidates[index] as Candidate),
    roles.masters.length,
    options,
  )
  if (lost.length > 0) throw new CreateRefusedError(lost)
  const plan: Ordered = {
    candidates: order.map((index) => candidates[index] as Candidate),
    leftovers,
    masters: roles.masters.length,
    replicasPerMaster,
    follows,
  }
  return { plan, shortcomings: roles.shortcomings, warnings }
}

/** Functions of those that are to be replicas, which copy their master's data over their own. */
async function losing(
  ordered: readonly Candidate[],
  masters: number,
  options: LinkOptions,
): Promise<string[]> {
  const takers = ordered.slice(0, masters).map(({ address }) => address)
  const found = await Promise.all(
    ordered.slice(masters).map(async ({ name, address }) => {
      const only = await onlyLibraries(address, takers, options)
      return only
        ? [
            `${name} is to be a replica, and would lose ${only.what}, which no master has just so; ${only.remedy}`,
          ]
        : []
    }),
  )
  return found.flat()
}

/** A server as it was when the plan was made: which node it is, what it has, and whom it knows. */
function deedOf({ name, seen }: Candidate): Deed {
  const self = selfIn(seen)
  const view = seen.up ? seen.view.filter(({ flags }) => !flags.includes('handshake')) : []
  const known = view.map(({ id }) => id).sort()
  const id = [name, self?.id, self?.role, JSON.stringify(self?.slots ?? []), ...known].join(' ')
  return { id, what: `${name} is not as it was: another id, other slots, or it knows other nodes` }
}

/**
 * Makes one cluster of servers that run already, and returns when it is ready in the full sense: all agree, every replica is
 * linked, every shard has taken a write. What fails half way is undone.
 * @throws CreateRefusedError when nothing was begun; CreateFailedError when something was; InvalidOptionError, InterruptedError
 */
export async function createCluster(options: CreateOptions): Promise<CreatedCluster> {
  return (await planCreate(options)).run()
}

/**
 * Whether these servers, all of them and no others, are one cluster already in which all agree: then there is nothing to
 * create, and nothing was done. False where one does not answer.
 */
export async function isOneCluster(nodes: readonly Address[], options: LinkOptions = {}): Promise<boolean> {
  const observation = await observe(nodes, options)
  const [camp, ...others] = campsOf(observation)
  const all = witnessesOf(observation).length === nodes.length && camp?.view.length === nodes.length
  return all && others.length === 0 && countIn(camp.view.flatMap(({ slots }) => slots)) === ALL_SLOTS
}
