import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import {
  backupCluster,
  planRebalance,
  RestoreIncompleteError,
  restoreCluster,
} from '../../../src/cluster/index.js'
import { slotOf } from '../../../src/keys/slots.js'
import { owns, tell } from '../../helpers/nodes.js'
import { openCluster } from '../../helpers/own-cluster.js'
import { mastersOf } from '../../operations/common/strays.js'

const NAMES = Array.from({ length: 300 }, (_, i) => `key:${i}`)

/**
 * Slots may have to be moved before a restore that was broken off can go on, to make room. A move shifts times to live by some ms, and the restore took each
 * such key for one that somebody else had written, and advised FLUSHALL.
 */
it('a restore goes on after slots were moved, and every key has its exact time', async () => {
  const { cluster, dispose } = await openCluster({ replicasPerMaster: 0 })
  onTestFinished(dispose)
  const folder = join(cluster.dataDir, '..', 'backup')
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const at = async (name: string) => {
    const owner = (await mastersOf(cluster)).find((master) => owns(master, slotOf(name)))
    return owner?.port ?? 0
  }
  const inDays = Date.now() + 86_400_000
  for (const [i, name] of NAMES.entries()) await tell(await at(name), 'SET', name, i, 'PXAT', inDays + i)
  await backupCluster(cluster.seeds, folder)
  for (const { port } of cluster.nodes) await tell(port, 'FLUSHALL')

  const ending = new AbortController()
  const onProgress = ({ state }: { state: string }) => void (state === 'comparing' && ending.abort())
  await expect(restoreCluster(folder, cluster.seeds, { signal: ending.signal, onProgress })).rejects.toThrow(
    RestoreIncompleteError,
  )
  const [from] = (await mastersOf(cluster)).sort((a, b) => a.port - b.port)
  const sizes = async () =>
    Promise.all((await mastersOf(cluster)).map(({ port }) => tell(port, 'DBSIZE').then(Number)))
  expect((await sizes()).some((size) => size > 10)).toBe(true)
  for (const weight of [0.01, 1])
    await (await planRebalance(cluster.seeds, { weights: { [from?.id ?? '']: weight } })).run({
      evenIfChanged: true,
    })
  await restoreCluster(folder, cluster.seeds)
  for (const [i, name] of NAMES.entries())
    expect(await tell(await at(name), 'PEXPIRETIME', name)).toBe(String(inDays + i))
}, 120_000)
