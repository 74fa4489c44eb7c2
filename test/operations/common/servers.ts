import { cp, mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Address, findServer, type LocalCluster, type RedisServer } from '../../../src/cluster/index.js'
import { discardProcess, type NodePlace, probeNode } from '../../../src/cluster/node.js'
import { processStamp } from '../../../src/cluster/processes.js'
import { parseFields } from '../../../src/cluster/replies.js'
import { startNodeAnyhow } from '../../../src/cluster/shard-ids.js'
import { type BareServers, openBareServers, RESTART } from '../../helpers/bare-servers.js'
import { tell } from '../../helpers/nodes.js'
import { openCluster } from '../../helpers/own-cluster.js'

/** The cluster that operations are done to, and servers that are not in it yet: killed, and started again. */
export class Servers {
  #starting: Promise<void> = Promise.resolve()
  #hasEnded = false

  private constructor(
    readonly cluster: LocalCluster,
    readonly spares: readonly Address[],
    private readonly server: RedisServer,
    private readonly places: readonly NodePlace[],
    private readonly dispose: () => Promise<void>,
  ) {}

  static async open(spares: number, redisPath: string | undefined, nodeTimeoutMs = 1_000): Promise<Servers> {
    const settings = { 'cluster-node-timeout': String(nodeTimeoutMs) }
    const options = { settings, ...(redisPath === undefined ? {} : { redisPath }) }
    const server = await findServer(options)
    const { cluster, dispose } = await openCluster(options)
    let bare: BareServers | undefined
    const disposeAll = async () => {
      await bare?.dispose()
      await dispose()
    }
    try {
      bare = spares === 0 ? undefined : await openBareServers(spares, options)
      const folder = bare?.folder ?? ''
      const places = [
        ...cluster.nodes.map(({ port, dir }) => ({ port, dir, access: {} })),
        ...(bare?.nodes ?? []).map(({ port }) => ({ port, dir: `${folder}/node_${port}`, access: {} })),
      ]
      return new Servers(cluster, bare?.nodes ?? [], server, places, disposeAll)
    } catch (error) {
      await disposeAll()
      throw error
    }
  }

  get folders(): readonly string[] {
    return this.places.map(({ dir }) => dir)
  }

  /** Logs, tables of nodes and append-only files of all, as they are now. @returns the folder */
  async keep(): Promise<string> {
    const kept = await mkdtemp(join(tmpdir(), 'shardq-kept-'))
    for (const { dir } of this.places) await cp(dir, join(kept, basename(dir)), { recursive: true })
    return kept
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

  /** What restarts a node of these, written into `script`: for `rolling-restart` of those that the folder of the cluster has not. */
  async restartCommand(script: string): Promise<string> {
    const dirs = this.places.map(({ port, dir }) => `${port}) set -- '${this.server.path}' '${dir}' ;;\n`)
    await writeFile(script, `case "$1" in\n${dirs.join('')}esac\n${RESTART}`)
    return `sh '${script}' {port}`
  }

  /** A server that is just being started is waited for: it would be there when all others are gone. */
  async end(): Promise<void> {
    this.#hasEnded = true
    await this.#starting.catch(() => undefined)
    await this.dispose()
  }

  /** Starts whatever does not run, and waits until all answer. Nothing, once they are being ended. */
  startAll(): Promise<void> {
    this.#starting = this.#startAll()
    return this.#starting
  }

  async #startAll(): Promise<void> {
    for (const place of this.places) {
      for (let tries = 0; !this.#hasEnded; tries++) {
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
