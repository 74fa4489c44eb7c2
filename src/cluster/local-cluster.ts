import { join, resolve } from 'node:path'
import type { ClusterConnectionOptions } from '../connection/options.js'
import type { Access } from '../connection/target.js'
import { type Manifest, nodePlaces, readManifest } from './data-dir.js'
import { NodeStartError } from './errors.js'
import { ensureServer, findServer, type RedisServer } from './find-server.js'
import { type ClusterStatus, inspectAny } from './inspect.js'
import { type Address, NodeLink } from './link.js'
import { linkOptions, type NodePlace, probeNode } from './node.js'
import type { Profile } from './node-config.js'
import { HOST } from './ports.js'
import { type ProcessIdentity, signalProcess, waitUntilGone } from './processes.js'
import { type ReadyOptions, waitUntilAgreed, waitUntilReady } from './ready.js'
import { PASSWORD_FILE } from './security/access.js'
import { startNodeAnyhow } from './shard-ids.js'
import { type StopOptions, type StopReport, stopCluster } from './stop.js'

export interface LocalNode {
  readonly host: string
  readonly port: number
  readonly pid: number
  /** As it was when the cluster became ready; a failover changes it, `status()` tells. */
  readonly role: 'master' | 'replica'
  /** Port of the master that a replica followed then; null for a master. */
  readonly masterPort: number | null
  /** Absolute path of the node's folder: redis.conf, redis.log, redis.pid and its data. */
  readonly dir: string
}

/** What `startCluster` knows of the cluster that it hands over. */
export interface LocalClusterInit {
  readonly dataDir: string
  readonly manifest: Manifest
  readonly processes: ReadonlyMap<number, ProcessIdentity>
  readonly whenReady: ClusterStatus
  readonly outcome: LocalCluster['outcome']
  readonly readyMs: number
  /** What the nodes were started with; null when they ran already. */
  readonly server: RedisServer | null
}

/** A cluster on this machine whose processes are ours: what `startCluster` returns. */
export class LocalCluster {
  /** Absolute path of the data folder. */
  readonly dataDir: string
  /** `created`: new; `restarted`: some or all nodes were started again; `running`: nothing was changed. */
  readonly outcome: 'created' | 'restarted' | 'running'
  /** From the call to readiness, milliseconds. */
  readonly readyMs: number
  private readonly processes: Map<number, ProcessIdentity>
  private readonly places: readonly NodePlace[]

  /** @internal use startCluster */
  constructor(private readonly init: LocalClusterInit) {
    this.dataDir = init.dataDir
    this.outcome = init.outcome
    this.readyMs = init.readyMs
    this.processes = new Map(init.processes)
    this.places = nodePlaces(init.dataDir, init.manifest)
  }

  get profile(): Profile {
    return this.init.manifest.profile
  }

  /** What a client needs to connect: every node's address. */
  get seeds(): Address[] {
    return this.places.map(({ port }) => ({ host: HOST, port }))
  }

  /** What a client needs besides the address: password and certificates, where the nodes demand them. */
  get access(): Access {
    return this.places[0]?.access ?? {}
  }

  /** For a queue, or anything else that takes connection options. */
  get connection(): ClusterConnectionOptions {
    return { mode: 'cluster', nodes: this.seeds, ...this.access }
  }

  /** The file with the password, mode 0600; null where the nodes want none. */
  get passwordFile(): string | null {
    return this.access.password === undefined ? null : join(this.dataDir, PASSWORD_FILE)
  }

  /** The folder with the certificates (`ca.crt`, `client.crt` and others); null where the nodes do not speak TLS. */
  get tlsDir(): string | null {
    const { tls } = this.init.manifest
    return tls === undefined ? null : resolve(this.dataDir, tls.dir)
  }

  get nodes(): LocalNode[] {
    const views = this.init.whenReady.nodes
    return this.places.map(({ port, dir }) => {
      const view = views.find((each) => each.port === port)
      const master = views.find((each) => each.id === view?.masterId)
      return {
        host: HOST,
        port,
        pid: this.processes.get(port)?.pid ?? 0,
        role: view?.role ?? 'master',
        masterPort: master?.port ?? null,
        dir,
      }
    })
  }

  /** Sends a signal to a node and, unless `signal` lets it live, waits until its process is gone (15 s at most). */
  async killNode(port: number, signal: 'SIGKILL' | 'SIGTERM' = 'SIGKILL'): Promise<void> {
    const identity = this.processOf(port)
    await signalProcess(identity, signal)
    await waitUntilGone(identity, 15_000)
  }

  /** Stops a node from running without ending it (SIGSTOP): connections stay open and nothing is answered. */
  async freezeNode(port: number): Promise<void> {
    await signalProcess(this.processOf(port), 'SIGSTOP')
  }

  /** Lets a frozen node run on (SIGCONT). */
  async resumeNode(port: number): Promise<void> {
    await signalProcess(this.processOf(port), 'SIGCONT')
  }

  /** Starts a node again that has ended, on its old data. Does nothing when it runs. */
  async restartNode(port: number): Promise<void> {
    const place = this.placeOf(port)
    const found = await probeNode(place)
    if (found.state === 'running') return
    if (found.state === 'unresponsive' && found.refusal) throw found.refusal
    if (found.state !== 'down') throw new NodeStartError(port, `its port is ${found.state}`, '')
    this.processes.set(port, await startNodeAnyhow(await this.server(), place))
  }

  /** It may have been upgraded by somebody else since. */
  private async server(): Promise<RedisServer> {
    const redisPath = (await readManifest(this.dataDir))?.redisPath
    if (redisPath !== undefined) return findServer({ redisPath })
    return this.init.server ?? ensureServer()
  }

  /** The cluster as the first node that answers sees it. */
  async status(): Promise<ClusterStatus> {
    return inspectAny(this.seeds, this.access)
  }

  /** Waits until all nodes run, agree, and take writes again. Default `timeoutMs` 30 000. */
  async waitUntilReady(options: Partial<ReadyOptions> & { writes?: boolean } = {}): Promise<ClusterStatus> {
    const wait = options.writes === false ? waitUntilAgreed : waitUntilReady
    return withLinks(this.places, (links) => wait(links, { timeoutMs: 30_000, ...options }))
  }

  /** Ends the nodes; with `remove`, their folders go too. */
  async stop(options: Pick<StopOptions, 'remove'> = {}): Promise<StopReport> {
    return stopCluster({ dataDir: this.dataDir, ...options })
  }

  private placeOf(port: number): NodePlace {
    const place = this.places.find((each) => each.port === port)
    if (!place) throw new RangeError(`the cluster in ${this.dataDir} has no node on port ${port}`)
    return place
  }

  private processOf(port: number): ProcessIdentity {
    const identity = this.processes.get(this.placeOf(port).port)
    if (!identity) throw new RangeError(`node ${port} was not running`)
    return identity
  }
}

/** Opens a link to every place, closes all of them in the end. */
export async function withLinks<T>(
  places: readonly NodePlace[],
  use: (links: NodeLink[]) => Promise<T>,
): Promise<T> {
  const opened = await Promise.allSettled(
    places.map((place) => NodeLink.open({ host: HOST, port: place.port }, linkOptions(place))),
  )
  const links = opened.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  try {
    const failed = opened.find((result) => result.status === 'rejected')
    if (failed) throw failed.reason
    return await use(links)
  } finally {
    for (const link of links) link.close()
  }
}
