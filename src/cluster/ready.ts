import { setTimeout as sleep } from 'node:timers/promises'
import { ClusterNotReadyError, InterruptedError } from './errors.js'
import { type ClusterStatus, inspectOver } from './inspect.js'
import { type NodeLink, nameOf } from './link.js'
import { readyKey } from './own-keys.js'
import { parseFields } from './replies.js'
import { ALL_SLOTS } from './slots.js'
import { summaryOf } from './views.js'

const POLL_MS = 15
/** How long a key that was written to try it is there, where it could not be removed, in ms. */
const KEPT_MS = 10_000

export interface ReadyOptions {
  /** Milliseconds. */
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
  /** More nodes may be known than are asked. Default false: then these are all. */
  readonly others?: boolean
}

/**
 * Waits until the cluster is ready in the full sense, for `cluster_state:ok` alone says nothing of replicas,
 * of what the other nodes believe, or of whether a write succeeds: every node is ok with all slots served, no
 * node is in doubt, all nodes hold the same view, every replica is linked to its master, and each shard has
 * taken a write that its replicas acknowledged.
 * @returns the view on which all agree
 * @throws ClusterNotReadyError with what was still missing
 */
export async function waitUntilReady(
  links: readonly NodeLink[],
  options: ReadyOptions,
): Promise<ClusterStatus> {
  const status = await waitUntilAgreed(links, options)
  await writeToEveryShard(links, status, options)
  return status
}

/** As `waitUntilReady`, without the writes. */
export async function waitUntilAgreed(
  links: readonly NodeLink[],
  options: ReadyOptions,
): Promise<ClusterStatus> {
  return poll(options, async () => {
    const views = await Promise.all(links.map(viewOf))
    const [first] = views
    const missing = views.flatMap((view) => view.missing)
    if (missing.length === 0 && first?.status) {
      const expected = summaryOf(first.status.nodes)
      const other = views.find((view) => view.status && summaryOf(view.status.nodes) !== expected)
      if (other) missing.push(`${other.name} and ${first.name} see different roles or slots`)
      const known = first.status.nodes.length
      if (options.others ? known < links.length : known !== links.length)
        missing.push(`${known} nodes are known where ${links.length} were started`)
    }
    return missing.length === 0 && first?.status ? { done: first.status } : { missing }
  })
}

/**
 * Waits until all nodes take those on some ports for failed, and the others serve: before that nobody can be told to forget them. Not for ever:
 * what is missing then, `fix` says better. Nor for a replica to take the place of a master: one that has never been linked to it since it was
 * started is not elected.
 */
export async function waitUntilGivenUp(
  links: readonly NodeLink[],
  ports: readonly number[],
  { timeoutMs, signal }: ReadyOptions,
): Promise<void> {
  const deadline = performance.now() + timeoutMs
  while (performance.now() < deadline) {
    if (signal?.aborted) throw new InterruptedError('waiting for the cluster')
    // One that is loading its data does not tell yet.
    const views = await Promise.all(links.map(viewOf))
    if (views.every(({ status }) => status !== null && haveGivenUp(status, ports))) return
    await sleep(POLL_MS)
  }
}

function haveGivenUp({ state, nodes }: ClusterStatus, ports: readonly number[]): boolean {
  const lost = nodes.filter(({ port }) => ports.includes(port))
  const others = nodes.filter((node) => !lost.includes(node))
  return (
    lost.every(({ flags }) => flags.includes('fail')) &&
    others.every(({ flags }) => flags.length === 0) &&
    (state === 'ok' || lost.some(({ slots }) => slots.length > 0))
  )
}

/** Repeats a step until it is done. @throws ClusterNotReadyError with what the last try was missing */
export async function poll<T>(
  { timeoutMs, signal }: ReadyOptions,
  step: () => Promise<{ done: T } | { missing: string[] }>,
): Promise<T> {
  const deadline = performance.now() + timeoutMs
  while (true) {
    if (signal?.aborted) throw new InterruptedError('waiting for the cluster')
    const result = await step()
    if ('done' in result) return result.done
    if (performance.now() > deadline) throw new ClusterNotReadyError(timeoutMs, result.missing)
    await sleep(POLL_MS)
  }
}

interface View {
  readonly name: string
  readonly status: ClusterStatus | null
  readonly missing: string[]
}

async function viewOf(link: NodeLink): Promise<View> {
  const name = nameOf(link.address)
  try {
    const [status, replication] = await Promise.all([inspectOver(link), link.text('INFO', 'replication')])
    const missing: string[] = []
    if (status.state !== 'ok') missing.push(`${name} says cluster_state:${status.state}`)
    if (status.slotsAssigned !== ALL_SLOTS || status.slotsOk !== ALL_SLOTS) {
      missing.push(`${name} sees ${status.slotsAssigned} slots assigned and ${status.slotsOk} ok`)
    }
    for (const node of status.nodes) {
      const doubt = [...node.flags, ...(node.linkState === 'connected' ? [] : ['link down'])]
      if (doubt.length > 0) missing.push(`${name} sees ${nameOf(node)} as ${doubt.join(', ')}`)
    }
    const fields = parseFields(replication)
    if (fields.get('role') === 'slave' && fields.get('master_link_status') !== 'up') {
      missing.push(`replica ${name} is not linked to its master yet`)
    }
    return { name, status, missing }
  } catch (error) {
    return { name, status: null, missing: [`${name} does not answer (${(error as Error).message})`] }
  }
}

/** Writes a key of our own to each shard, waits for the replicas to acknowledge it, and removes it. */
async function writeToEveryShard(
  links: readonly NodeLink[],
  status: ClusterStatus,
  options: ReadyOptions,
): Promise<void> {
  const owners = status.nodes.filter((node) => node.role === 'master' && node.slots.length > 0)
  // By id: on several hosts, ports are the same, and the cluster may call a node otherwise than we do.
  const ids = await Promise.all(links.map((link) => link.text('CLUSTER', 'MYID')))
  await Promise.all(
    owners.map(async (owner) => {
      const link = links[ids.indexOf(owner.id)]
      const replicas = status.nodes.filter((node) => node.masterId === owner.id).length
      if (!link) return
      await poll(options, async () => {
        const key = readyKey(owner.slots)
        try {
          if ((await link.text('SET', key, '1', 'PX', KEPT_MS, 'NX')) !== 'OK')
            return { missing: [`${nameOf(owner)} has a key of the name that was to be tried: ${key}`] }
          const acknowledged = Number(replicas === 0 ? 0 : await link.text('WAIT', replicas, 500))
          await link.text('DEL', key)
          if (acknowledged >= replicas) return { done: undefined }
          return { missing: [`${acknowledged} of ${replicas} replicas of ${nameOf(owner)} took a write`] }
        } catch (error) {
          return { missing: [`${nameOf(owner)} refused a write (${(error as Error).message})`] }
        }
      })
    }),
  )
}
