import { CreateFailedError, InterruptedError } from '../errors.js'
import { formCluster, restoreNodeTimeout } from '../form.js'
import { type LinkOptions, NodeLink } from '../link.js'
import type { Candidate } from './candidates.js'
import { type CreatedCluster, type CreateOptions, type Ordered, plannedNodes } from './plan.js'
import { resetAll } from './reset.js'

const READY_MS = 30_000
/**
 * cluster-node-timeout while it forms, in ms. A node that has been running for more than that serves only so long after it
 * has met the others; between hosts of one network 500 ms are many round trips.
 */
const FORMING_TIMEOUT_MS = 500

/** @throws CreateFailedError, InterruptedError; what was begun is undone */
export async function carryOut(plan: Ordered, options: CreateOptions): Promise<CreatedCluster> {
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
