import { slotRanges } from '../form.js'
import type { ClusterStatus } from '../inspect.js'
import type { LinkOptions } from '../link.js'
import type { SlotRange } from '../slots.js'
import type { Candidate, NewNode } from './candidates.js'

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

export interface CreatedCluster {
  /** As all nodes see it. */
  readonly status: ClusterStatus
  /** From the first command to readiness, in ms. */
  readonly readyMs: number
}

/** Masters first. */
export interface Ordered {
  readonly candidates: readonly Candidate[]
  readonly leftovers: readonly Candidate[]
  readonly masters: number
  readonly replicasPerMaster: number
  readonly follows: readonly number[]
}

export function plannedNodes({ candidates, masters, follows }: Ordered): PlannedNode[] {
  const ranges = slotRanges(masters)
  return candidates.map(({ name, ip, address, busPort }, index) => {
    const node = { name, host: ip ?? address.host, port: address.port, busPort }
    const slots = ranges[index]
    if (slots) return { ...node, role: 'master' as const, slots }
    const master = candidates[follows[index - masters] ?? 0]?.name ?? ''
    return { ...node, role: 'replica' as const, follows: master }
  })
}
