import { setTimeout as sleep } from 'node:timers/promises'
import type { LocalCluster } from '../../src/cluster/index.js'
import { withLink } from '../../src/cluster/link.js'
import type { TaskQueue } from '../../src/index.js'
import { makePartitions } from '../../src/keys/partitions.js'
import { membersOf, sizeOf } from '../../src/scripts/bundles.js'

/** Every replica stands still for so long, as with a fork or a blip of the network: all masters go on, none is confirmed. */
export async function delayReplicas(cluster: LocalCluster, ms: number, most = Number.POSITIVE_INFINITY) {
  const { nodes } = await cluster.status()
  const replicas = nodes.filter(({ role }) => role === 'replica').slice(0, most)
  await Promise.all(replicas.map(({ port }) => cluster.freezeNode(port)))
  try {
    await sleep(ms)
  } finally {
    await Promise.all(replicas.map(({ port }) => cluster.resumeNode(port)))
  }
}

/** Callers that enqueue one task after the other while `meanwhile` goes on. @returns the ids by the tasks' numbers */
export async function enqueueDuring(
  queue: TaskQueue<{ note: { n: number; pad: string } }>,
  options: { readonly callers: number; readonly pad: string },
  meanwhile: () => Promise<void>,
): Promise<Map<number, string>> {
  const acknowledged = new Map<number, string>()
  let running = true
  let sent = 0
  const callers = Array.from({ length: options.callers }, async () => {
    while (running) {
      const n = sent++
      acknowledged.set(n, await queue.enqueue('note', { n, pad: options.pad }))
      await sleep(4)
    }
  })
  try {
    await meanwhile()
  } finally {
    running = false
    await Promise.all(callers)
  }
  return acknowledged
}

export interface Standing {
  /** Tasks that have a record. */
  readonly stored: number
  /** Ids that stand more than once in ready lists and leases. */
  readonly twice: string[]
  /** Ids of tasks that have a record and stand nowhere. */
  readonly nowhere: string[]
}

/** How a queue's tasks stand, read key by key from its masters. */
export async function standingOf(
  cluster: LocalCluster,
  queue: string,
  partitions: number,
): Promise<Standing> {
  const { nodes } = await cluster.status()
  const stored: string[] = []
  const places = new Map<string, number>()
  for (const { slot, keys } of makePartitions(queue, partitions)) {
    const owner = nodes.find(
      (node) => node.role === 'master' && node.slots.some(([from, to]) => from <= slot && slot <= to),
    )
    if (!owner) throw new Error(`no master serves slot ${slot}`)
    await withLink(owner, { timeoutMs: 10_000 }, async (link) => {
      const list = async (command: string, ...args: (string | number)[]) =>
        ((await link.bytes(command, ...args)) as Buffer[]).map(String)
      stored.push(...(await list('HKEYS', keys.tasks)))
      const names: string[] = []
      for (const key of keys.ready) names.push(...(await list('LRANGE', key, 0, -1)))
      for (const lease of await list('ZRANGE', keys.leases, 0, -1))
        names.push(...(await list('SMEMBERS', keys.lease(lease))))
      names.push(
        ...(await list('ZRANGE', keys.scheduled, 0, -1)),
        ...(await list('ZRANGE', keys.dead, 0, -1)),
      )
      for (const name of names)
        for (const { id } of membersOf(name)) places.set(id, (places.get(id) ?? 0) + 1)
    })
  }
  const ids = stored.flatMap((name) => membersOf(name).map(({ id }) => id))
  return {
    stored: stored.reduce((sum, name) => sum + sizeOf(name), 0),
    twice: [...places].filter(([, count]) => count > 1).map(([id]) => id),
    nowhere: ids.filter((id) => !places.has(id)),
  }
}
