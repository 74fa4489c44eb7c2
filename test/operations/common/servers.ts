import { setTimeout as sleep } from 'node:timers/promises'
import { type Address, findServer, type LocalCluster, type RedisServer } from '../../../src/cluster/index.js'
import { discardProcess, type NodePlace, probeNode } from '../../../src/cluster/node.js'
import { processStamp } from '../../../src/cluster/processes.js'
import { parseFields } from '../../../src/cluster/replies.js'
import { startNodeAnyhow } from '../../../src/cluster/shard-ids.js'
import { type BareServers, openBareServers } from '../../helpers/bare-servers.js'
import { tell } from '../../helpers/nodes.js'
import { openCluster } from '../../helpers/own-cluster.js'

const SETTINGS = { 'cluster-node-timeout': '1000' } as const

/** The cluster that operations are done to, and servers that are not in it yet: killed, and started again. */
export class Servers {
  private constructor(
    readonly cluster: LocalCluster,
    readonly spares: readonly Address[],
    private readonly server: RedisServer,
    private readonly places: readonly NodePlace[],
    readonly end: () => Promise<void>,
  ) {}

  static async open(spares: number, redisPath: string | undefined): Promise<Servers> {
    const options = redisPath === undefined ? {} : { redisPath }
    const server = await findServer(options)
    const { cluster, dispose } = await openCluster({ settings: SETTINGS, ...options })
    let bare: BareServers | undefined
    const end = async () => {
      await bare?.dispose()
      await dispose()
    }
    try {
      bare = spares === 0 ? undefined : await openBareServers(spares, { settings: SETTINGS, ...options })
      const folder = bare?.folder ?? ''
      const places = [
        ...cluster.nodes.map(({ port, dir }) => ({ port, dir, access: {} })),
        ...(bare?.nodes ?? []).map(({ port }) => ({ port, dir: `${folder}/node_${port}`, access: {} })),
      ]
      return new Servers(cluster, bare?.nodes ?? [], server, places, end)
    } catch (error) {
      await end()
      throw error
    }
  }

  has(port: number): boolean {
    return this.places.some((place) => place.port === port)
  }

  /** Whoever it is by now: an operation may have restarted it. Does nothing where it is down already. */
  async kill(port: number): Promise<void> {
    const pid = await pidOf(port).catch(() => null)
    const stamp = pid === null ? null : await processStamp(pid)
    if (pid === null || stamp === null) return
    await discardProcess({ pid, stamp })
  }

  /** Starts whatever does not run, and waits until all answer. */
  async startAll(): Promise<void> {
    for (const place of this.places) {
      for (let tries = 0; ; tries++) {
        const found = await probeNode(place)
        if (found.state === 'running') break
        if (found.state === 'down') await startNodeAnyhow(this.server, place)
        else if (tries > 100) throw new Error(`port ${place.port} is ${found.state}`)
        else await sleep(50)
      }
    }
  }
}

async function pidOf(port: number): Promise<number> {
  return Number(parseFields(await tell(port, 'INFO', 'server')).get('process_id'))
}
