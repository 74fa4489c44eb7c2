import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { formCluster } from '../../src/cluster/form.js'
import { type Address, ensureServer } from '../../src/cluster/index.js'
import { NodeLink } from '../../src/cluster/link.js'
import { CONFIG_FILE, clusterNodeConfig, LOG_FILE } from '../../src/cluster/node-config.js'
import { waitUntilReady } from '../../src/cluster/ready.js'
import { Network } from './netns.js'

const MASTERS = 3
const FIRST_PORT = 7001
const START_MS = 10_000
const FORM_MS = 30_000
/** Links do not reconnect: those to a node that has gone are opened anew after so long. */
const RELINK_MS = 2_000

interface Server extends Address {
  readonly dir: string
  process: ChildProcess | undefined
}

/** Servers on hosts of their own; with `start`, three masters and their replicas, each on another host and port. */
export class NetnsCluster {
  private constructor(
    readonly network: Network,
    /** Of the nodes' folders. */
    readonly folder: string,
    private readonly binary: string,
    private readonly servers: readonly Server[],
  ) {}

  static async start(
    nodeTimeoutMs: number,
    replicasPerMaster = 1,
    settings: Readonly<Record<string, string>> = {},
  ): Promise<NetnsCluster> {
    const nodes = MASTERS * (1 + replicasPerMaster)
    const ports = Array.from({ length: nodes }, (_, index) => [FIRST_PORT + index])
    const cluster = await NetnsCluster.startServers(ports, {
      'cluster-node-timeout': String(nodeTimeoutMs),
      ...settings,
    })
    try {
      const shape = { masters: MASTERS, replicasPerMaster }
      await cluster.#withLinks((links) =>
        formCluster(links, shape, { timeoutMs: FORM_MS, formingTimeoutMs: 1_000 }),
      )
      return cluster
    } catch (error) {
      await cluster.dispose()
      throw error
    }
  }

  /** Servers that are no cluster yet. @param hosts the ports of the nodes of each host */
  static async startServers(
    hosts: readonly (readonly number[])[],
    settings: Readonly<Record<string, string>>,
  ): Promise<NetnsCluster> {
    const { path } = await ensureServer()
    const network = await Network.create()
    const folder = await mkdtemp(join(tmpdir(), 'shardq-netns-'))
    const servers: Server[] = []
    for (const ports of hosts) {
      const { address, name } = await network.addHost()
      for (const port of ports) {
        const dir = join(folder, `${name}-${port}`)
        await mkdir(dir)
        const all = { bind: address, 'protected-mode': 'no', ...settings }
        await writeFile(
          join(dir, CONFIG_FILE),
          clusterNodeConfig({ port, dir, profile: 'queue', settings: all }),
        )
        servers.push({ host: address, port, dir, process: undefined })
      }
    }
    const cluster = new NetnsCluster(network, folder, path, servers)
    try {
      await Promise.all(servers.map((server) => cluster.restart(server)))
      return cluster
    } catch (error) {
      await cluster.dispose()
      throw error
    }
  }

  get seeds(): readonly Address[] {
    return this.servers.map(({ host, port }) => ({ host, port }))
  }

  async kill(node: Address): Promise<void> {
    const server = this.#serverAt(node)
    const child = server.process
    server.process = undefined
    if (!child) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }

  freeze(node: Address): void {
    this.#serverAt(node).process?.kill('SIGSTOP')
  }

  resume(node: Address): void {
    this.#serverAt(node).process?.kill('SIGCONT')
  }

  /** Starts a server that was killed, on its old data, and waits until it answers; does nothing to one that runs. */
  async restart(node: Address): Promise<void> {
    const server = this.#serverAt(node)
    if (server.process) return
    const [command = '', ...before] = this.network.inside(server.host)
    const log = openSync(join(server.dir, LOG_FILE), 'a')
    const child = spawn(command, [...before, this.binary, join(server.dir, CONFIG_FILE)], {
      cwd: server.dir,
      // Ctrl-C on a terminal is for us, and we end it.
      detached: true,
      stdio: ['ignore', log, log],
    })
    closeSync(log)
    server.process = child
    child.once('exit', () => {
      if (server.process === child) server.process = undefined
    })
    const deadline = performance.now() + START_MS
    while (!(await answers(node))) {
      if (!server.process) throw new Error(`${node.host}:${node.port} ended at once; see ${server.dir}`)
      if (performance.now() > deadline) throw new Error(`${node.host}:${node.port} does not answer`)
      await sleep(10)
    }
  }

  /** As LocalCluster.waitUntilReady, though nodes may be out of reach at first. */
  async waitUntilReady({ timeoutMs }: { readonly timeoutMs: number }): Promise<void> {
    const deadline = performance.now() + timeoutMs
    for (;;) {
      const leftMs = deadline - performance.now()
      try {
        await this.#withLinks((links) => waitUntilReady(links, { timeoutMs: Math.min(leftMs, RELINK_MS) }))
        return
      } catch (error) {
        if (performance.now() > deadline) throw error
        await sleep(50)
      }
    }
  }

  /** `keep`: leaves the nodes' files, for somebody to look into. */
  async dispose(keep = false): Promise<void> {
    await Promise.all(this.servers.map((server) => this.kill(server)))
    if (!keep) await rm(this.folder, { recursive: true, force: true, maxRetries: 5 })
  }

  #serverAt({ host, port }: Address): Server {
    const server = this.servers.find((each) => each.host === host && each.port === port)
    if (!server) throw new RangeError(`the cluster has no node ${host}:${port}`)
    return server
  }

  async #withLinks<T>(use: (links: NodeLink[]) => Promise<T>): Promise<T> {
    const links: NodeLink[] = []
    try {
      for (const { host, port } of this.servers) links.push(await NodeLink.open({ host, port }))
      return await use(links)
    } finally {
      for (const link of links) link.close()
    }
  }
}

async function answers(node: Address): Promise<boolean> {
  try {
    const link = await NodeLink.open(node)
    try {
      // One that is still loading its data answers too.
      await link.text('INFO', 'server')
      return true
    } finally {
      link.close()
    }
  } catch {
    return false
  }
}
