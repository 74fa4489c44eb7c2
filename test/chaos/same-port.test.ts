import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it, onTestFinished } from 'vitest'
import { readManifest, writeManifest } from '../../src/cluster/data-dir.js'
import {
  addNodes,
  findServer,
  freePorts,
  type LocalCluster,
  planLocalRemoval,
} from '../../src/cluster/index.js'
import { withLink } from '../../src/cluster/link.js'
import { clearUnsettledAlone } from '../../src/cluster/membership/unsettled.js'
import { tell } from '../helpers/nodes.js'
import { openCluster } from '../helpers/own-cluster.js'
import { tempDir } from '../helpers/temp-dir.js'
import { until } from '../helpers/until.js'

/** A cluster of a data folder that has a node on another host besides, with a port that the folder has, too. */

const OTHER = '127.0.0.2'
const GONE = { pid: 999_999_999, stamp: 'gone' }

let cluster: LocalCluster
let dispose: () => Promise<void>
beforeAll(async () => {
  ;({ cluster, dispose } = await openCluster({ replicasPerMaster: 0 }))
})
afterAll(() => dispose?.())

/** A server of the other host, that becomes a replica. @returns its name */
async function replicaOn(port: number): Promise<string> {
  const [{ path }, dir] = await Promise.all([findServer(), tempDir()])
  const settings = {
    ...{ port, bind: OTHER, dir, 'cluster-announce-ip': OTHER, 'cluster-enabled': 'yes' },
    'cluster-node-timeout': '1000',
  }
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)])
  const child = spawn(path, [...args, '--save', ''], { stdio: 'ignore' })
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await once(child, 'exit')
  })
  const node = { host: OTHER, port }
  const ask = () => withLink(node, {}, (link) => link.text('PING')).catch(() => '')
  await until('the other server answers', ask, (answer) => answer === 'PONG')
  await addNodes(cluster.seeds, [{ ...node, replicaOf: 'auto' }])
  return `${OTHER}:${port}`
}

const names = async () => (await cluster.status()).nodes.map(({ host, port }) => `${host}:${port}`)

it('one of another host is removed, and not that of the folder which has its port', async () => {
  const port = cluster.seeds[0]?.port ?? 0
  const name = await replicaOn(port)
  const before = await readManifest(cluster.dataDir)
  const removal = await planLocalRemoval(name, { dataDir: cluster.dataDir, leaveUnprotected: true })
  expect(await removal.run()).toMatchObject({ removed: [name] })
  expect(await tell(port, 'PING')).toBe('PONG')
  expect(await readManifest(cluster.dataDir)).toEqual(before)
  expect(await names()).not.toContain(name)
})

it('what an add-node that was killed has left is cleared away, and not the node of another host that has its port', async () => {
  const [port = 0] = await freePorts(1)
  const name = await replicaOn(port)
  const manifest = await readManifest(cluster.dataDir)
  if (!manifest) throw new Error('no manifest')
  await mkdir(join(cluster.dataDir, `node_${port}`))
  await writeManifest(cluster.dataDir, { ...manifest, unsettled: { ports: [port], by: GONE } })
  await clearUnsettledAlone(cluster.dataDir)
  expect(await readdir(cluster.dataDir)).not.toContain(`node_${port}`)
  expect(await readManifest(cluster.dataDir)).toEqual(manifest)
  expect(await names()).toContain(name)
})
