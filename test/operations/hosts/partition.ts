import { setTimeout as sleep } from 'node:timers/promises'
import { type Address, nameOf } from '../../../src/cluster/index.js'
import { NodeLink } from '../../../src/cluster/link.js'
import { TaskQueue } from '../../../src/index.js'
import { NetnsCluster } from '../../helpers/netns-cluster.js'
import { until } from '../../helpers/until.js'

const MASTERS = 3
const SLOTS = 16_384
const NODE_TIMEOUT_MS = 2_000
const CUT_MS = 8_000
const CALLERS = 10
/** Between two tasks of a caller. */
const PAUSE_MS = 20

/**
 * A partition: on the one side the first master, all but one of its replicas and the client; on the other side the rest, which
 * promotes the replica that is left. What was acknowledged on the first side must be there when both are one again.
 *
 * Says how many were acknowledged and lost, and when the last was acknowledged while cut off.
 */
export async function partition(replicas: number, confirm: 'all' | number): Promise<void> {
  const hosts = Array.from({ length: 2 * MASTERS - 1 + replicas }, () => [7000])
  const servers = await NetnsCluster.startServers(hosts, {
    'cluster-node-timeout': String(NODE_TIMEOUT_MS),
    bind: '0.0.0.0',
  })
  try {
    await play(servers, replicas, confirm)
  } finally {
    await servers.dispose()
  }
}

async function play(servers: NetnsCluster, replicas: number, confirm: 'all' | number): Promise<void> {
  const { seeds, network } = servers
  await form(seeds, replicas)
  const [first, second] = seeds as [Address, Address]
  const promoted = seeds[MASTERS] as Address
  const near = [first, ...seeds.slice(MASTERS + 1, MASTERS + replicas)]
  const far = seeds.filter((node) => !near.includes(node)).map(({ host }) => host)

  const queue = new TaskQueue<{ note: string }>('cut', {
    connection: { mode: 'cluster', nodes: seeds },
    enqueueTimeoutMs: 3_000,
    replication: { confirm },
  })
  await queue.connect()
  const acknowledged = new Map<string, number>()
  let rejected = 0
  let over = false
  const callers = Array.from({ length: CALLERS }, async (_, caller) => {
    for (let i = 0; !over; i++) {
      const note = `${caller}-${i}`
      try {
        await queue.enqueue('note', note)
        acknowledged.set(note, performance.now())
      } catch {
        rejected++
      }
      await sleep(PAUSE_MS)
    }
  })
  await sleep(1_500)

  await network.split(far)
  const cutAtMs = performance.now()
  await sleep(CUT_MS)
  const lastMs = Math.max(...acknowledged.values()) - cutAtMs
  await network.join()
  await until(
    'the old master follows',
    () => ask(first, 'ROLE'),
    (role) => role.startsWith('slave'),
    30_000,
  )
  await until(
    'tasks are taken again',
    async () => Math.max(...acknowledged.values()) - cutAtMs,
    (latestMs) => latestMs > CUT_MS,
    30_000,
  )
  await sleep(1_000)
  over = true
  await Promise.all(callers)

  const seen = new Set<string>()
  for (;;) {
    const deliveries = await queue.dequeue({ count: 500, blockMs: 3_000 })
    if (deliveries.length === 0) break
    for (const delivery of deliveries) seen.add(delivery.data)
    await Promise.all(deliveries.map((delivery) => delivery.complete()))
  }
  await queue.disconnect()
  const lost = [...acknowledged.keys()].filter((note) => !seen.has(note)).length
  process.stdout.write(
    `${replicas} replicas, confirm ${confirm}: ${nameOf(promoted)} promoted, seen by ${nameOf(second)}; ` +
      `acknowledged ${acknowledged.size}, rejected ${rejected}, the last on the cut-off side ${Math.round(lastMs)} ms after the cut\n` +
      `acknowledged and lost: ${lost}\n`,
  )
}

/** The first has so many replicas, the two others one each. */
async function form(nodes: readonly Address[], replicas: number): Promise<void> {
  const links = await Promise.all(nodes.map((node) => NodeLink.open(node)))
  const text = (index: number, ...command: (string | number)[]) => {
    const [name = '', ...args] = command
    return (links[index] as NodeLink).text(String(name), ...args)
  }
  try {
    for (let i = 0; i < MASTERS; i++) {
      const [from, to] = [Math.floor((i * SLOTS) / MASTERS), Math.floor(((i + 1) * SLOTS) / MASTERS) - 1]
      await text(i, 'CLUSTER', 'SET-CONFIG-EPOCH', i + 1)
      await text(i, 'CLUSTER', 'ADDSLOTSRANGE', from, to)
    }
    for (let i = 1; i < nodes.length; i++)
      await text(i, 'CLUSTER', 'MEET', nodes[0]?.host ?? '', nodes[0]?.port ?? 0)
    const ids = await Promise.all([0, 1, 2].map((i) => text(i, 'CLUSTER', 'MYID')))
    for (let i = MASTERS; i < nodes.length; i++) {
      const master = i < MASTERS + replicas ? 0 : i - MASTERS - replicas + 1
      await until(
        'a replica follows',
        () => text(i, 'CLUSTER', 'REPLICATE', ids[master] ?? '').catch((error: Error) => error.message),
        (said) => said === 'OK',
      )
    }
    await until(
      'all is linked, and known everywhere',
      async () => {
        const views = await Promise.all(nodes.map((_, i) => text(i, 'CLUSTER', 'NODES')))
        const roles = await Promise.all(nodes.map((_, i) => text(i, 'INFO', 'replication')))
        const infos = await Promise.all(nodes.map((_, i) => text(i, 'CLUSTER', 'INFO')))
        return (
          views.every((view) => view.match(/ slave|,slave/g)?.length === nodes.length - MASTERS) &&
          roles.slice(MASTERS).every((role) => role.includes('master_link_status:up')) &&
          infos.every((info) => info.includes('cluster_state:ok'))
        )
      },
      (ready) => ready,
      60_000,
    )
  } finally {
    for (const link of links) link.close()
  }
}

async function ask(node: Address, ...command: [string, ...string[]]): Promise<string> {
  const link = await NodeLink.open(node)
  try {
    return await link.text(...command)
  } catch (error) {
    return (error as Error).message
  } finally {
    link.close()
  }
}
