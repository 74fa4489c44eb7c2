import { CreateFailedError, InterruptedError } from '../errors.js'
import { formCluster } from '../form.js'
import { NodeLink } from '../link.js'
import type { Candidate } from './candidates.js'
import { type CreatedCluster, type CreateOptions, type Ordered, plannedNodes } from './plan.js'
import { resetAll } from './reset.js'

const READY_MS = 30_000

/**
 * No setting of a server is changed, not even for the time being: whoever is killed gives none back, and nobody else would know what
 * it was. With a lower cluster-node-timeout it would be faster by up to 4.5 s.
 * @throws CreateFailedError, InterruptedError; what was begun is undone
 */
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
      meetAt: plannedNodes(plan),
      onTouched: (link) => touched.add(candidates[links.indexOf(link)] as Candidate),
    })
    return { status, readyMs: Math.round(performance.now() - startedMs) }
  } catch (error) {
    // Those that are not as they were.
    const left = await resetAll(
      [...touched].map(({ address }) => address),
      options,
    )
    if (options.signal?.aborted && left.length === 0)
      throw new InterruptedError('creating the cluster', { cause: error })
    throw new CreateFailedError((error as Error).message, left, { cause: error })
  } finally {
    for (const link of links) link.close()
  }
}
