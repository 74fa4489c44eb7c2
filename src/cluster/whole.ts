import { setTimeout as sleep } from 'node:timers/promises'
import { ClusterNotReadyError, InterruptedError, NodeUnreachableError } from './errors.js'
import type { ClusterStatus } from './inspect.js'
import { type Address, type LinkOptions, NodeLink } from './link.js'
import { type ReadyOptions, waitUntilAgreed, waitUntilReady } from './ready.js'

/** Links do not reconnect, so after so many ms of waiting they are opened anew: a node may have been restarted. */
const RELINK_MS = 1_000
const RETRY_MS = 50

/**
 * Waits until all of these nodes answer, agree, and every replica is linked, as `waitUntilAgreed` has it; but of a
 * cluster that need not be ours, and whose nodes may still have to come back. With `writes`, each shard has besides taken a
 * write that all its replicas have acknowledged: then none of them is behind.
 * @throws ClusterNotReadyError with all that was missing in the end; AuthenticationError
 */
export async function waitUntilWhole(
  nodes: readonly Address[],
  access: LinkOptions,
  { timeoutMs, signal, others = false, writes = false }: ReadyOptions & { readonly writes?: boolean },
): Promise<ClusterStatus> {
  const wait = writes ? waitUntilReady : waitUntilAgreed
  const deadline = performance.now() + timeoutMs
  while (true) {
    if (signal?.aborted) throw new InterruptedError('waiting for the cluster')
    const missing: string[] = []
    const links: NodeLink[] = []
    try {
      await openAll(nodes, access, links, missing)
      const leftMs = Math.max(0, Math.min(RELINK_MS, deadline - performance.now()))
      if (missing.length === 0) return await wait(links, { timeoutMs: leftMs, signal, others })
    } catch (error) {
      if (!(error instanceof ClusterNotReadyError)) throw error
      missing.push(...error.missing)
    } finally {
      for (const link of links) link.close()
    }
    if (performance.now() > deadline) throw new ClusterNotReadyError(timeoutMs, missing)
    await sleep(RETRY_MS)
  }
}

async function openAll(
  nodes: readonly Address[],
  access: LinkOptions,
  links: NodeLink[],
  missing: string[],
): Promise<void> {
  const opened = await Promise.allSettled(nodes.map((node) => NodeLink.open(node, access)))
  const reasons = opened.flatMap((result) => {
    if (result.status === 'rejected') return [result.reason as Error]
    links.push(result.value)
    return []
  })
  // Of a node that is down the address is in the message; refused credentials are no matter of waiting.
  for (const reason of reasons) {
    if (!(reason instanceof NodeUnreachableError)) throw reason
    missing.push(`${reason.node} does not answer`)
  }
}
