import { CreateFailedError, InterruptedError } from '../errors.js'
import { formCluster } from '../form.js'
import { DEFAULT_TIMEOUT_MS, NodeLink } from '../link.js'
import { type Candidate, selfIn } from './candidates.js'
import { type CreatedCluster, type CreateOptions, type Ordered, plannedNodes } from './plan.js'
import { type OwnIds, resetAll } from './reset.js'
import { StandstillFence } from './stood-still.js'

const READY_MS = 30_000

/**
 * No setting of a server is changed, not even for the time being: whoever is killed gives none back, and nobody else would know what
 * it was. With a lower cluster-node-timeout it would be faster by up to 4.5 s.
 * @throws CreateFailedError, InterruptedError; what was begun is undone, where it is still ours
 */
export async function carryOut(plan: Ordered, options: CreateOptions): Promise<CreatedCluster> {
  const { candidates, leftovers } = plan
  const startedMs = performance.now()
  /** Those that are not as they were. */
  const touched = new Set<Candidate>(leftovers)
  const own: OwnIds = new Map()
  for (const candidate of candidates) {
    const id = selfIn(candidate.seen)?.id
    if (id !== undefined) own.set(id, { maySlots: leftovers.includes(candidate) })
  }
  const links: NodeLink[] = []
  let fence: StandstillFence | undefined
  try {
    const { left } = await resetAll(
      leftovers.map(({ address }) => address),
      own,
      options,
    )
    if (left.length > 0) throw new Error(`${left.join(', ')} could not be reset`)
    touched.clear()
    fence = new StandstillFence(options.timeoutMs ?? DEFAULT_TIMEOUT_MS)
    const { mayCall } = fence
    for (const { address } of candidates) {
      // Each is bounded; all of them together may take longer than anybody may stand still.
      mayCall()
      links.push(await NodeLink.open(address, { ...options, mayCall }))
    }
    const status = await formCluster(links, plan, {
      timeoutMs: options.readyMs ?? READY_MS,
      signal: options.signal ? AbortSignal.any([options.signal, fence.signal]) : fence.signal,
      meetAt: plannedNodes(plan),
      onClaimed: (link, id) => {
        touched.add(candidates[links.indexOf(link)] as Candidate)
        own.set(id, { maySlots: true })
      },
    })
    return { status, readyMs: Math.round(performance.now() - startedMs) }
  } catch (error) {
    const cause = fence?.signal.aborted ? (fence.signal.reason as Error) : (error as Error)
    const notReset = await resetAll(
      [...touched].map(({ address }) => address),
      own,
      options,
    )
    if (options.signal?.aborted && notReset.left.length === 0)
      throw new InterruptedError('creating the cluster', { cause })
    throw new CreateFailedError(cause.message, notReset, { cause })
  } finally {
    for (const link of links) link.close()
  }
}
