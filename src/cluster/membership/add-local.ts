import { resolve } from 'node:path'
import { InvalidOptionError } from '../../errors.js'
import { rebalance } from '../balance/index.js'
import {
  allPorts,
  DEFAULT_DATA_DIR,
  type Manifest,
  makeNodeDir,
  nodeDir,
  nodePlaces,
  writeManifest,
  writeNodeConfig,
} from '../data-dir.js'
import { DataDirError, InterruptedError } from '../errors.js'
import { ensureServer } from '../find-server.js'
import { isThere } from '../is-there.js'
import { startNode } from '../node.js'
import { openCluster, serverOf } from '../open.js'
import { withOperation } from '../operation/index.js'
import { leftOf } from '../owed/left.js'
import { BUS_OFFSET, checkPortNumbers, checkPortsFree, HOST, isPortFree } from '../ports.js'
import { type AddOptions, type AddReport, admit, type NodeToAdd } from './add.js'
import { clearUnsettled, discard, markUnsettled } from './unsettled.js'

export interface AddLocalOptions extends AddOptions {
  /** Default `.shardq/cluster` in the current folder. */
  readonly dataDir?: string
  /** New masters. Default 1, or 0 with `replicaOf`. */
  readonly masters?: number
  /** Replicas of each new master. Default: as many as the cluster was created with. */
  readonly replicasPerMaster?: number
  /** One replica, and no master: of this one (`host:port`), or of the one that needs it most (`auto`). */
  readonly replicaOf?: string
  /** First port to try. Default: the one after the highest of the cluster. With one, that port and those after it have to be free. */
  readonly port?: number
  /** A server binary, or its folder. Default: what the nodes run on. */
  readonly redisPath?: string
}

/**
 * Starts new nodes of the cluster in a data folder, which has to run, and adds them, masters before replicas. If it fails or is
 * interrupted, they are removed again; if it is killed, the next add-node, `up` or `stop` does that.
 * @throws DataDirError, InvalidOptionError, PortInUseError, NodeStartError, ClusterNotReadyError, InterruptedError, and what `addNodes`
 *   throws
 */
export async function addLocalNodes(options: AddLocalOptions = {}): Promise<AddReport> {
  const dataDir = resolve(options.dataDir ?? DEFAULT_DATA_DIR)
  const cluster = await openCluster(dataDir)
  if (!cluster)
    throw new DataDirError(dataDir, 'there is no cluster here; create one with: shardq cluster up')
  const { seeds, access } = cluster
  const how = { ...options, ...access }
  return withOperation(seeds, access, { name: 'add-node' }, options.signal, async (held) => {
    const manifest = await clearUnsettled(dataDir, { ...how, ...held })
    if (!manifest || manifest.unsettled)
      throw new DataDirError(
        dataDir,
        'its nodes are being changed by another process, or do not all answer; look at them with: shardq cluster check',
      )
    const report = await start(dataDir, manifest, seeds, { ...how, ...held })
    const weights = options.rebalance === true ? {} : options.rebalance
    const all = [...seeds, ...report.added.map(({ node }) => addressOf(node))]
    const balanced = weights ? await rebalance(all, { ...how, ...weights, ...held }) : null
    return { ...report, left: leftOf(held), rebalance: balanced }
  })
}

async function start(
  dataDir: string,
  manifest: Manifest,
  seeds: { host: string; port: number }[],
  options: AddLocalOptions,
): Promise<Omit<AddReport, 'left' | 'rebalance'>> {
  const shape = shapeOf(manifest, options)
  const ports = await choosePorts(
    dataDir,
    manifest,
    shape.masters * (1 + shape.replicas) + shape.lone,
    options.port,
  )
  const { redisPath, signal } = options
  const server =
    redisPath === undefined
      ? await serverOf(manifest, nodePlaces(dataDir, manifest))
      : await ensureServer({ redisPath })
  const marked = await markUnsettled(dataDir, manifest, ports)
  try {
    for (const port of ports) {
      await makeNodeDir(dataDir, port)
      await writeNodeConfig(dataDir, manifest, port)
    }
    for (const place of nodePlaces(dataDir, manifest, ports)) {
      const { pid } = await startNode(server ?? (await ensureServer()), place, { signal })
      options.onStep?.({ step: 'started', node: `${HOST}:${place.port}`, pid })
    }
    const report = await admit(seeds, rolesOf(ports, shape, options.replicaOf), options)
    const { unsettled: _, ...rest } = marked
    await writeManifest(dataDir, {
      ...rest,
      ports: [...manifest.ports, ...ports],
      masters: manifest.masters + shape.masters,
    })
    return report
  } catch (error) {
    await discard(dataDir, marked, { ...options, signal: undefined })
    throw signal?.aborted ? new InterruptedError('adding nodes', { cause: error }) : error
  }
}

interface Shape {
  readonly masters: number
  /** Of each of them. */
  readonly replicas: number
  /** Replicas of masters that are there already. */
  readonly lone: number
}

function shapeOf(manifest: Manifest, { masters, replicasPerMaster, replicaOf }: AddLocalOptions): Shape {
  if (replicaOf !== undefined) {
    if (masters !== undefined || replicasPerMaster !== undefined)
      throw new InvalidOptionError('replicaOf', 'it is one replica; leave out masters and replicasPerMaster')
    return { masters: 0, replicas: 0, lone: 1 }
  }
  return { masters: masters ?? 1, replicas: replicasPerMaster ?? manifest.replicasPerMaster, lone: 0 }
}

/** Masters first, then their replicas in turn, as `up` has it. */
function rolesOf(ports: readonly number[], { masters }: Shape, replicaOf: string | undefined): NodeToAdd[] {
  return ports.map((port, i) => {
    const node = { host: HOST, port }
    if (replicaOf !== undefined) return { ...node, replicaOf }
    return i < masters ? node : { ...node, replicaOf: `${HOST}:${ports[i % masters]}` }
  })
}

/** A named port has to be free; without, those that are not are passed over. */
async function choosePorts(
  dataDir: string,
  manifest: Manifest,
  count: number,
  named: number | undefined,
): Promise<number[]> {
  if (named !== undefined) {
    const ports = Array.from({ length: count }, (_, i) => named + i)
    checkPortNumbers(ports, 'port')
    // What stands in a folder of that name is not ours to start from, nor to remove when it fails.
    for (const port of ports)
      if (await isThere(nodeDir(dataDir, port)))
        throw new DataDirError(
          dataDir,
          `node_${port} is there already, and may have data of a node that is none of the cluster any more; choose another --port, ` +
            'or move it away when nobody needs it',
        )
    await checkPortsFree(ports, { bus: true })
    return ports
  }
  const ports: number[] = []
  for (let port = Math.max(...allPorts(manifest)) + 1; ports.length < count; port++) {
    checkPortNumbers([port], 'port')
    const taken = await isThere(nodeDir(dataDir, port))
    if (!taken && (await isPortFree(port)) && (await isPortFree(port + BUS_OFFSET))) ports.push(port)
  }
  return ports
}

function addressOf(name: string) {
  return { host: HOST, port: Number(name.slice(name.lastIndexOf(':') + 1)) }
}
