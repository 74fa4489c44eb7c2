/** One cluster of servers that run already, on any hosts: looked at, planned, made, and undone where that fails. */
import { InvalidOptionError } from '../../errors.js'
import { CreateRefusedError } from '../errors.js'
import type { Address, LinkOptions } from '../link.js'
import { observe } from '../observer.js'
import { ALL_SLOTS, countIn } from '../slots.js'
import { spread } from '../spread.js'
import { campsOf, witnessesOf } from '../views.js'
import { type Candidate, lookAt } from './candidates.js'
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
  run(): Promise<CreatedCluster>
}

/**
 * Looks at the servers and makes a plan. Changes nothing until `run`.
 * @throws CreateRefusedError with everything that is in the way; InvalidOptionError
 */
export async function planCreate(options: CreateOptions): Promise<PlannedCreate> {
  const { nodes, replicasPerMaster = 1, reset = false, username } = options
  // Before anything is asked: a number that does not come out even needs no look.
  spread(
    nodes.map(({ host }) => ({ name: host, host })),
    replicasPerMaster,
  )
  for (const { busPort } of nodes)
    if (busPort !== undefined && (busPort < 1 || busPort > 65_535))
      throw new InvalidOptionError('nodes', `${busPort} is no port for a cluster bus (1 to 65535)`)

  const candidates = await lookAt(nodes, options)
  const { problems, warnings, leftovers } = judge(candidates, { reset, username })
  if (problems.length > 0) throw new CreateRefusedError(problems)
  const roles = spread(
    candidates.map(({ name, ip, address }) => ({ name, host: ip ?? address.host })),
    replicasPerMaster,
  )
  const order = [...roles.masters, ...roles.replicas.map(({ node }) => node)]
  const follows = roles.replicas.map(({ master }) => roles.masters.indexOf(master))
  const plan: Ordered = {
    candidates: order.map((index) => candidates[index] as Candidate),
    leftovers,
    masters: roles.masters.length,
    replicasPerMaster,
    follows,
  }
  return {
    nodes: plannedNodes(plan),
    shortcomings: roles.shortcomings,
    warnings,
    resets: leftovers.map(({ name }) => name),
    run: () => carryOut(plan, options),
  }
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
