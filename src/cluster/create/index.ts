/** One cluster of servers that run already, on any hosts: looked at, planned, made, and undone where that fails. */
import { InvalidOptionError } from '../../errors.js'
import { CreateFailedError, CreateRefusedError, InterruptedError } from '../errors.js'
import { formCluster, restoreNodeTimeout, slotRanges } from '../form.js'
import type { ClusterStatus } from '../inspect.js'
import { type Address, type LinkOptions, NodeLink } from '../link.js'
import { Observer } from '../observer.js'
import { ALL_SLOTS, countIn, type SlotRange } from '../slots.js'
import { spread } from '../spread.js'
import { campsOf, witnessesOf } from '../views.js'
import { type Candidate, lookAt, type NewNode } from './candidates.js'
import { judge } from './obstacles.js'
import { resetAll } from './reset.js'

export type { NewNode } from './candidates.js'

export interface CreateOptions extends LinkOptions {
  /**
   * Servers that run: empty, `cluster-enabled yes`, under addresses by which they reach each other. Not those of the loopback,
   * unless all are on it. Names are looked up here, once.
   */
  readonly nodes: readonly NewNode[]
  /** Default 1. With 0 nothing survives the loss of a master. */
  readonly replicasPerMaster?: number
  /** Empty nodes that know only one another, as a `create` that was killed leaves them, are reset first. Default false: refused. */
  readonly reset?: boolean
  /** Longest wait until the cluster is ready in the full sense, in ms. Default 30,000. */
  readonly readyMs?: number
  /** Ends it; what was done is undone. */
  readonly signal?: AbortSignal
}

export interface PlannedNode {
  /** `host:port`, as it was given. */
  readonly name: string
  /** What the others are told: the address of numbers. */
  readonly host: string
  readonly port: number
  readonly busPort: number
  readonly role: 'master' | 'replica'
  /** The slots of a master. */
  readonly slots?: SlotRange
  /** Name of the master that a replica is to follow. */
  readonly follows?: string
}

export interface CreatePlan {
  /** Masters first, each in the order of its slots. */
  readonly nodes: readonly PlannedNode[]
  /** What will not survive the loss of one host, and why that cannot be had. Empty: any one host may be lost. */
  readonly shortcomings: readonly string[]
  /** What works, and will be a nuisance later. */
  readonly warnings: readonly string[]
  /** Nodes that are reset first. */
  readonly resets: readonly string[]
}

/** What is to be done, and a function that does it. */
export interface PlannedCreate extends CreatePlan {
  run(): Promise<CreatedCluster>
}

export interface CreatedCluster {
  /** As all nodes see it. */
  readonly status: ClusterStatus
  /** From the first command to readiness, in ms. */
  readonly readyMs: number
}

const READY_MS = 30_000
/**
 * cluster-node-timeout while it forms, in ms. A node that has been running for more than that serves only so long after it
 * has met the others; between hosts of one network 500 ms are many round trips.
 */
const FORMING_TIMEOUT_MS = 500

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
  const observer = new Observer(nodes, options)
  try {
    const observation = await observer.observe()
    const [camp, ...others] = campsOf(observation)
    const all = witnessesOf(observation).length === nodes.length && camp?.view.length === nodes.length
    return all && others.length === 0 && countIn(camp.view.flatMap(({ slots }) => slots)) === ALL_SLOTS
  } finally {
    observer.close()
  }
}

/** Masters first. */
interface Ordered {
  readonly candidates: readonly Candidate[]
  readonly leftovers: readonly Candidate[]
  readonly masters: number
  readonly replicasPerMaster: number
  readonly follows: readonly number[]
}

function plannedNodes({ candidates, masters, follows }: Ordered): PlannedNode[] {
  const ranges = slotRanges(masters)
  return candidates.map(({ name, ip, address, busPort }, index) => {
    const node = { name, host: ip ?? address.host, port: address.port, busPort }
    const slots = ranges[index]
    if (slots) return { ...node, role: 'master' as const, slots }
    const master = candidates[follows[index - masters] ?? 0]?.name ?? ''
    return { ...node, role: 'replica' as const, follows: master }
  })
}

async function carryOut(plan: Ordered, options: CreateOptions): Promise<CreatedCluster> {
  const { candidates, leftovers } = plan
  const startedMs = performance.now()
  const touched = new Set<Candidate>(leftovers)
  const links: NodeLink[] = []
  try {
    const notReset = await resetAll(
      leftovers.map(({ address }) => address),
      options,
    )
    if (notReset.length > 0) throw new Error(`${notReset.join(', ')} could not be reset`)
    for (const { address } of candidates) links.push(await NodeLink.open(address, options))
    const status = await formCluster(links, plan, {
      timeoutMs: options.readyMs ?? READY_MS,
      signal: options.signal,
      formingTimeoutMs: FORMING_TIMEOUT_MS,
      meetAt: plannedNodes(plan),
      onTouched: (link) => touched.add(candidates[links.indexOf(link)] as Candidate),
    })
    return { status, readyMs: Math.round(performance.now() - startedMs) }
  } catch (error) {
    const left = await undo([...touched], options)
    if (options.signal?.aborted && left.length === 0)
      throw new InterruptedError('creating the cluster', { cause: error })
    throw new CreateFailedError((error as Error).message, left, { cause: error })
  } finally {
    for (const link of links) link.close()
  }
}

/** @returns names of the nodes that are not as they were */
async function undo(touched: readonly Candidate[], options: LinkOptions): Promise<string[]> {
  const left = new Set(
    await resetAll(
      touched.map(({ address }) => address),
      options,
    ),
  )
  await Promise.all(
    touched.map(async ({ name, address, seen }) => {
      try {
        const link = await NodeLink.open(address, options)
        try {
          await restoreNodeTimeout([link], [timeoutIn(seen)])
        } finally {
          link.close()
        }
      } catch {
        left.add(name)
      }
    }),
  )
  return [...left]
}

const timeoutIn = (seen: Candidate['seen']) =>
  Number((seen.up ? seen.config?.get('cluster-node-timeout') : undefined) ?? 15_000)
