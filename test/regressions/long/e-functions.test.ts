import { join } from 'node:path'
import { expect, it } from 'vitest'
import { type Address, addNodes, backupCluster, restoreCluster } from '../../../src/cluster/index.js'
import { bareServers } from '../../helpers/bare-servers.js'
import { shardq } from '../../helpers/cli.js'
import { tell } from '../../helpers/nodes.js'
import { ownCluster } from '../../helpers/own-cluster.js'
import { tempDir } from '../../helpers/temp-dir.js'

const library = (answer: string) =>
  `#!lua name=app\nredis.register_function('hello', function() return '${answer}' end)`

async function withFunctions(answer: string) {
  const cluster = await ownCluster({ replicasPerMaster: 0 })
  for (const { port } of cluster.nodes) await tell(port, 'FUNCTION', 'LOAD', library(answer))
  return cluster
}

it('a new node gets the functions of the others, and check sees where they differ', async () => {
  const cluster = await withFunctions('old')
  const [node] = (await bareServers(1, { settings: { 'cluster-node-timeout': '1000' } })) as [Address]
  const steps: string[] = []
  await addNodes(cluster.seeds, [node], { onStep: ({ step }) => void steps.push(step) })
  expect(steps).toContain('functions')
  expect(await tell(node.port, 'FUNCTION', 'LIST')).toContain('hello')

  await tell(node.port, 'FUNCTION', 'DELETE', 'app')
  const { stdout } = await shardq(['cluster', 'check', '--node', `127.0.0.1:${node.port}`, '--json'])
  const [finding] = JSON.parse(stdout).findings.filter(
    ({ check }: { check: string }) => check === 'functions-differ',
  )
  expect(finding).toMatchObject({ nodes: [`127.0.0.1:${node.port}`], severity: 'warning' })
  expect(JSON.stringify(finding)).toContain('FUNCTION DUMP')
}, 60_000)

it('a restore writes over no library of functions', async () => {
  const folder = join(await tempDir(), 'backup')
  const cluster = await withFunctions('old')
  await backupCluster(cluster.seeds, folder)
  const other = await withFunctions('new')
  await expect(restoreCluster(folder, other.seeds)).rejects.toThrow(
    /the library of functions app has other code in 127\.0\.0\.1:\d+ than in shard-0\.rdb, and nothing is written over/,
  )
  for (const { port } of other.nodes) {
    expect(await tell(port, 'FCALL', 'hello', 0)).toBe('new')
    expect(await tell(port, 'DBSIZE')).toBe('0')
  }
  // The same one is no conflict, and where there is none it is loaded.
  const same = await withFunctions('old')
  await tell(same.nodes[0]?.port ?? 0, 'FUNCTION', 'DELETE', 'app')
  await restoreCluster(folder, same.seeds)
  for (const { port } of same.nodes) expect(await tell(port, 'FCALL', 'hello', 0)).toBe('old')
}, 60_000)
