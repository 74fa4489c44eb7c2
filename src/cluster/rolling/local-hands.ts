import { type Manifest, nodePlaces, readManifest, writeManifest } from '../data-dir.js'
import { DataDirError, NodeStartError } from '../errors.js'
import { ensureServer, findServer, type RedisServer } from '../find-server.js'
import { startHelper, sweepHelpers } from '../helper-server.js'
import { type LinkOptions, withLink } from '../link.js'
import { linkOptions, logTail, type NodePlace, probeNode, stopNode } from '../node.js'
import { toldTo } from '../owed/told.js'
import { isAlive, type ProcessIdentity, waitUntilGone } from '../processes.js'
import { parseFields } from '../replies.js'
import { startNodeAnyhow } from '../shard-ids.js'
import { askToEnd, isRefusal } from '../shutdown.js'
import type { RestartHands } from './hands.js'
import type { RollNode } from './standing.js'

/** Nodes whose processes are ours: stopped, and started again, by us. */
export class LocalRestartHands implements RestartHands {
  private readonly started = new Map<number, ProcessIdentity>()

  private constructor(
    private readonly dataDir: string,
    private readonly manifest: Manifest,
    /** To which all nodes are to go; null: each stays with its own. */
    private readonly server: RedisServer | null,
  ) {}

  /** @throws DataDirError when the folder holds no cluster */
  static async open(dataDir: string, server: RedisServer | null): Promise<LocalRestartHands> {
    const manifest = await readManifest(dataDir)
    if (!manifest) throw new DataDirError(dataDir, 'it holds no cluster')
    return new LocalRestartHands(dataDir, manifest, server)
  }

  words(node: RollNode): string {
    const { server } = this
    const to = server ? ` with ${server.flavour} ${server.version} (${server.path})` : ''
    return `${node.up ? 'stop it in good order, and ' : ''}start it on its own data${to}`
  }

  /** Before anything is restarted: whatever starts a node from now on, `up` after a crash for one, starts the new server. */
  async rememberServer(): Promise<void> {
    if (!this.server) return
    // As it is by now: nodes may have come and gone since the plan was made.
    const manifest = await readManifest(this.dataDir)
    if (!manifest) throw new DataDirError(this.dataDir, 'it holds no cluster any more')
    await writeManifest(this.dataDir, { ...manifest, redisPath: this.server.path })
  }

  /** Goes through with it, whatever is asked meanwhile: a node that was stopped is ours to bring back. */
  async restart(node: RollNode): Promise<void> {
    const place = this.#placeOf(node)
    const server = this.server ?? (await this.#serverOf(node))
    const found = await probeNode(place)
    if (found.state === 'foreign')
      throw new DataDirError(this.dataDir, `port ${node.port} is held by something that is not ours`)
    if (found.state === 'running') await endSoon(node, linkOptions(place), found.process)
    if ('process' in found) await stopNode(place, found, { keepData: true })
    this.started.set(node.port, await startNodeAnyhow(server, place))
  }

  /** A server that cannot read its data answers at first, and ends when it comes to where they are damaged. */
  async ended(node: RollNode): Promise<Error | null> {
    const process = this.started.get(node.port)
    if (!process || (await isAlive(process))) return null
    return new NodeStartError(node.port, 'it has ended', await logTail(this.#placeOf(node).dir))
  }

  async defaults(node: RollNode): Promise<ReadonlyMap<string, string> | null> {
    if (node.executable === null) return null
    try {
      await sweepHelpers()
      const helper = await startHelper(await findServer({ redisPath: node.executable }))
      try {
        return (await withLink(helper.address, linkOptions(helper.place), toldTo)).config
      } finally {
        await helper.close()
      }
    } catch {
      return null // the program was replaced since
    }
  }

  async #serverOf({ executable }: RollNode): Promise<RedisServer> {
    const redisPath = executable ?? this.manifest.redisPath
    return redisPath ? findServer({ redisPath }) : ensureServer()
  }

  #placeOf(node: RollNode): NodePlace {
    const place = nodePlaces(this.dataDir, this.manifest).find(({ port }) => port === node.port)
    if (!place) throw new DataDirError(this.dataDir, `it has no node on port ${node.port}`)
    return place
  }
}

const END_MS = 15_000

/**
 * A snapshot on top of the log would only keep the node away for longer. What is refused, by a replica that writes its first log for
 * one, is left to `stopNode`, which asks again.
 */
async function endSoon(node: RollNode, access: LinkOptions, identity: ProcessIdentity): Promise<void> {
  const info = parseFields(await withLink(node, access, (link) => link.text('INFO', 'persistence')))
  if (info.get('aof_enabled') !== '1') return
  try {
    await askToEnd(node, access, ['NOSAVE'])
    await waitUntilGone(identity, END_MS)
  } catch (error) {
    if (!isRefusal(error)) throw error
  }
}
