import { readdir } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { nodeDir } from '../../../src/cluster/data-dir.js'
import { startCluster } from '../../../src/cluster/index.js'
import { shardq } from '../../helpers/cli.js'
import { tell } from '../../helpers/nodes.js'
import { ownCluster } from '../../helpers/own-cluster.js'
import { plainKeys, readable, writeKeys } from '../../helpers/plain-keys.js'

test('what starts from a snapshot is stopped with one, also where saving was switched off at run time', async () => {
  const cluster = await ownCluster({ replicasPerMaster: 0, settings: { appendonly: 'no' } })
  const { dataDir } = cluster
  const all = plainKeys(300)
  await writeKeys(cluster, all, () => 'after')
  for (const { port } of cluster.nodes) await tell(port, 'CONFIG', 'SET', 'save', '')
  expect(await shardq(['cluster', 'stop', '--data-dir', dataDir])).toMatchObject({ code: 0, stderr: '' })
  expect(await readable(await startCluster({ dataDir }), all)).toBe(all.length)
}, 20_000)

test('what is to have no snapshot, by its redis.conf, is stopped without', async () => {
  const cluster = await ownCluster({ replicasPerMaster: 0, settings: { appendonly: 'no', save: '' } })
  const { dataDir } = cluster
  await writeKeys(cluster, plainKeys(300), () => 'after')
  expect(await shardq(['cluster', 'stop', '--data-dir', dataDir])).toMatchObject({ code: 0, stderr: '' })
  for (const { port } of cluster.nodes)
    expect(await readdir(nodeDir(dataDir, port))).not.toContain('dump.rdb')
}, 20_000)
