import { access, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { nodeDir, readManifest, writeManifest } from '../../../src/cluster/data-dir.js'
import { planFix } from '../../../src/cluster/index.js'
import { openCluster } from '../../../src/cluster/open.js'
import { bareServers } from '../../helpers/bare-servers.js'
import { eventually } from '../../helpers/behaviour/harness.js'
import { shardq } from '../../helpers/cli.js'
import { tell } from '../../helpers/nodes.js'
import { ownCluster } from '../../helpers/own-cluster.js'

/**
 * A node of a local cluster dies for good, and is forgotten as `fix` advises. `up` went on to start it, waited for it in vain, and ended all nodes
 * again, each time; and where its folder was gone, one replica's, none of the others was started either.
 */
it('a local cluster does without nodes that were forgotten, and what is typed for one whose folder is gone works', async () => {
  const cluster = await ownCluster()
  const { dataDir } = cluster
  const { nodes } = await cluster.status()
  const [first, second, third] = nodes.filter(({ role }) => role === 'replica').map(({ port }) => port)
  const seed = nodes.find(({ role }) => role === 'master')?.port
  if (!first || !second || !third || !seed) throw new Error('no replicas')
  const type = (...args: string[]) => shardq(['cluster', ...args, '--data-dir', dataDir])
  const done = async (...args: string[]) => {
    const { code, stdout, stderr } = await type(...args)
    expect({ args, code, stderr }).toEqual({ args, code: 0, stderr: '' })
    return stdout
  }
  const ports = async () => (await readManifest(dataDir))?.ports
  const kill = async (port: number) => {
    // Its processes are others after each `up`.
    await (await openCluster(dataDir))?.killNode(port)
    await eventually(async () => {
      const view = (await tell(seed, 'CLUSTER', 'NODES')).split('\n')
      expect(view.find((line) => line.includes(`127.0.0.1:${port}@`))).toMatch(/ \S*,fail /)
    }, 15_000)
  }

  await kill(first)
  expect(await done('fix', '--yes', '--forget', `127.0.0.1:${first}`)).toContain(nodeDir(dataDir, first))
  expect(await ports()).not.toContain(first)
  expect(await readManifest(dataDir)).toMatchObject({ masters: 3, forgotten: [first] })
  await done('stop')
  await done('up')
  expect(await tell(seed, 'CLUSTER', 'NODES')).not.toContain(`:${first}@`)
  // Its data is neither started on nor removed.
  const refused = await type('add-node', '--replica-of', 'auto', '--port', `${first}`)
  expect(refused.code).toBe(1)
  expect(refused.stderr).toContain(`node_${first} is there already`)
  await access(join(nodeDir(dataDir, first), 'redis.conf'))
  await done('add-node', '--replica-of', 'auto')

  // The tool is killed when it has forgotten the node, before anything else.
  await kill(second)
  const seeds = ((await ports()) ?? []).map((port) => ({ host: '127.0.0.1', port }))
  const plan = await planFix(seeds, { forget: [`127.0.0.1:${second}`] })
  expect(await plan.run()).toMatchObject({ done: [{ kind: 'forget' }], left: [] })
  expect(await ports()).toContain(second)
  await done('stop')
  expect(await done('up')).toContain(nodeDir(dataDir, second))
  expect(await ports()).not.toContain(second)

  await done('stop')
  await rm(nodeDir(dataDir, third), { recursive: true })
  const lost = await type('up')
  expect(lost.code).toBe(1)
  expect(lost.stderr).toContain(`node ${third} cannot be started`)
  expect(lost.stderr).not.toContain(' at ')
  expect(await tell(seed, 'CLUSTER', 'INFO')).toContain('cluster_state:ok')
  const [fix, add] = [...lost.stderr.matchAll(/shardq cluster ([a-z-]+ --\S+ \S+) --data-dir/g)].map(
    ([, command]) => command?.split(' ') ?? [],
  )
  await done(...(fix ?? []), '--yes')
  await done(...(add ?? []))
  expect(await done('up')).toContain('running already')
  await cluster.stop({ remove: true })
  await expect(access(dataDir)).rejects.toThrow('ENOENT')
}, 180_000)

it("a port of a node that was forgotten is anybody's: `stop` has nothing to do with who uses it", async () => {
  const cluster = await ownCluster({ replicasPerMaster: 0 })
  const { dataDir } = cluster
  const [other] = await bareServers(1)
  const manifest = await readManifest(dataDir)
  if (!manifest || !other) throw new Error('no cluster')
  await writeManifest(dataDir, { ...manifest, forgotten: [other.port] })
  const stop = await shardq(['cluster', 'stop', '--data-dir', dataDir])
  expect(stop).toMatchObject({ code: 0, stderr: '' })
  expect(stop.stdout).toContain('✅ Stopped.')
  expect(stop.stdout).toContain(`Node on port ${other.port} was not running`)
  expect(await tell(other.port, 'PING')).toBe('PONG')
}, 20_000)
