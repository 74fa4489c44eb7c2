import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { nodePlaces, readManifest, writeManifest } from '../../../src/cluster/data-dir.js'
import { ClusterNotReadyError, startCluster } from '../../../src/cluster/index.js'
import { probeNode } from '../../../src/cluster/node.js'
import { NODES_FILE } from '../../../src/cluster/shard-ids.js'
import { ownCluster } from '../../helpers/own-cluster.js'

it('an `up` that fails ends what it has started, a node on its way out among it', async () => {
  const cluster = await ownCluster()
  const { nodes } = await cluster.status()
  const manifest = await readManifest(cluster.dataDir)
  const [master, replica] = ['master', 'replica'].map(
    (role) => nodes.find((node) => node.role === role)?.port,
  )
  if (!manifest || !master || !replica) throw new Error('no cluster')
  await cluster.stop()
  const ports = manifest.ports.filter((port) => port !== replica)
  const by = { pid: 999_999_999, stamp: 'gone' }
  await writeManifest(cluster.dataDir, { ...manifest, ports, unsettled: { ports: [replica], by } })
  // It comes back as somebody whom nobody knows, so that the cluster does not become ready.
  await rm(join(cluster.dataDir, `node_${master}`, NODES_FILE))
  const up = startCluster({ dataDir: cluster.dataDir, timeoutMs: 1_000 })
  await expect(up).rejects.toThrow(ClusterNotReadyError)
  for (const place of nodePlaces(cluster.dataDir, manifest))
    expect(await probeNode(place), `${place.port}`).toEqual({ state: 'down' })
  await writeManifest(cluster.dataDir, manifest)
}, 60_000)
