import { resolve } from 'node:path'
import { InvalidOptionError } from '../../errors.js'
import { DEFAULT_DATA_DIR, readManifest } from '../data-dir.js'
import { ClusterNotReadyError, NodeRefusedError } from '../errors.js'
import { type Address, nameOf } from '../link.js'
import { openCluster } from '../open.js'
import { withOperation } from '../operation/index.js'
import { leftOf } from '../owed/left.js'
import { HOST } from '../ports.js'
import type { NodeView } from '../replies.js'
import { localPorts } from './local-nodes.js'
import { planRemoval } from './plan-removal.js'
import type { PlannedRemoval, RemoveOptions } from './remove.js'
import { clearUnsettled, discard, markUnsettled } from './unsettled.js'

export interface RemoveLocalOptions extends RemoveOptions {
  /** Default `.shardq/cluster` in the current folder. */
  readonly dataDir?: string
}

/**
 * As `planRemoval`, of a node of the cluster in a data folder; `run` also ends its process and removes its folder.
 * @throws what `planRemoval` throws, DataDirError; ClusterNotReadyError when a node does not run
 */
export async function planLocalRemoval(
  name: string,
  options: RemoveLocalOptions = {},
): Promise<PlannedRemoval> {
  const dataDir = resolve(options.dataDir ?? DEFAULT_DATA_DIR)
  const before = await readManifest(dataDir)
  const cluster = await openCluster(dataDir)
  if (!cluster || !before) throw new InvalidOptionError('dataDir', `${dataDir} holds no cluster`)
  const how = { ...options, ...cluster.access }
  if (isAt(name, before.unsettled?.ports)) return finishing(dataDir, name, cluster.seeds, how)
  let ours: readonly string[] = []
  return planRemoval(cluster.seeds, name, {
    ...how,
    onEmpty: async (nodes) => {
      ours = await markLeaving(dataDir, nodes)
    },
    onRemoved: async (access) => {
      const manifest = await readManifest(dataDir)
      if (manifest?.unsettled) await discard(dataDir, manifest, { ...access, signal: undefined })
      for (const node of ours) options.onStep?.({ step: 'ended', node })
    },
  })
}

const isAt = (name: string, ports: readonly number[] = []) => ports.some((port) => name === `${HOST}:${port}`)

/**
 * Those of this folder: one of another host, a replica for instance, is only forgotten, whatever its port.
 * @returns their names
 */
async function markLeaving(dataDir: string, nodes: readonly NodeView[]): Promise<string[]> {
  const manifest = await readManifest(dataDir)
  if (!manifest) throw new InvalidOptionError('dataDir', `${dataDir} holds no cluster any more`)
  const isAt = await localPorts(dataDir, manifest.ports)
  const ours = nodes.filter((node) => isAt(node) !== undefined)
  if (ours.length === 0) return []
  const masters = ours.filter(({ role }) => role === 'master').length
  const ports = ours.flatMap((node) => isAt(node) ?? [])
  await markUnsettled(dataDir, manifest, ports, manifest.masters - masters)
  return ours.map(nameOf)
}

/** A removal was cut off when the node had nothing any more: what is left to do is what is done with any that is on its way. */
function finishing(
  dataDir: string,
  name: string,
  seeds: readonly Address[],
  options: RemoveOptions,
): PlannedRemoval {
  const run = () =>
    withOperation(seeds, options, { name: 'remove-node' }, options.signal, async (held) => {
      const manifest = await clearUnsettled(dataDir, { ...options, ...held })
      if (isAt(name, manifest?.ports))
        throw new NodeRefusedError(name, 'removed', [
          `it has slots or replicas by now, and is a node like any other; if it is to leave: shardq cluster remove-node ${name}`,
        ])
      if (isAt(name, manifest?.unsettled?.ports))
        throw new ClusterNotReadyError(0, ['not all other nodes answer, so that nobody can say what it has'])
      options.onStep?.({ step: 'ended', node: name })
      return { removed: [name], left: leftOf(held) }
    })
  return { node: name, role: 'master', removes: [name], rehomes: [], moves: null, run }
}
