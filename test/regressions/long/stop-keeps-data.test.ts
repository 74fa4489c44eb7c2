import { execFile } from 'node:child_process'
import { mkdir, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { nodeDir } from '../../../src/cluster/data-dir.js'
import { findServer, type LocalCluster, startCluster } from '../../../src/cluster/index.js'
import { withLink } from '../../../src/cluster/link.js'
import { processStamp } from '../../../src/cluster/processes.js'
import { slotOf } from '../../../src/keys/slots.js'
import { shellWord } from '../../../src/shell.js'
import { shardq } from '../../helpers/cli.js'
import { tell } from '../../helpers/nodes.js'
import { ownCluster } from '../../helpers/own-cluster.js'
import { plainKeys, readable, writeKeys } from '../../helpers/plain-keys.js'
import { serverWithoutRoom } from '../../helpers/without-room.js'

const run = promisify(execFile)

const stop = ({ dataDir }: LocalCluster) => shardq(['cluster', 'stop', '--data-dir', dataDir])

const alive = async ({ nodes }: LocalCluster) =>
  (await Promise.all(nodes.map(({ pid }) => processStamp(pid)))).filter(Boolean).length

/** Until the node refuses. @returns what it has acknowledged */
async function fillDisk(port: number, slots: readonly [number, number]): Promise<string[]> {
  const names = plainKeys(20_000).filter((name) => slotOf(name) >= slots[0] && slotOf(name) <= slots[1])
  return withLink({ host: '127.0.0.1', port }, {}, async (link) => {
    const stored: string[] = []
    for (const name of names) {
      const reply = await link.text('SET', name, 'x'.repeat(1_000)).catch((error: Error) => error.message)
      if (reply.startsWith('MISCONF')) return stored
      stored.push(name)
    }
    throw new Error('it has refused none')
  })
}

test('`cluster stop` stops nothing that would come back without its data', async () => {
  const redisPath = await serverWithoutRoom()
  let cluster = await ownCluster({ replicasPerMaster: 0, redisPath })
  const { dataDir } = cluster
  const port = cluster.nodes[0]?.port as number
  const up = async (path = redisPath) => {
    cluster = await startCluster({ dataDir, redisPath: path })
  }
  const before = plainKeys(100)
  await writeKeys(cluster, before, () => 'before')

  // Switched off at run time.
  await tell(port, 'CONFIG', 'SET', 'appendonly', 'no')
  const all = plainKeys(300)
  await writeKeys(cluster, all, () => 'after')
  const refused = await stop(cluster)
  expect(refused.code).toBe(1)
  expect(refused.stderr).toContain('nothing was stopped')
  const typed = `redis-cli -h 127.0.0.1 -p ${port} CONFIG SET appendonly yes`
  expect(refused.stderr).toContain(`127.0.0.1:${port}: its append-only file was switched off`)
  expect(refused.stderr).toContain(typed)
  expect(refused.stderr).toContain(`shardq cluster stop --data-dir ${shellWord(dataDir)}`)
  expect(refused.stderr.match(/redis-cli/g)).toHaveLength(1)
  expect(await alive(cluster)).toBe(3)

  // What was said is typed, and stopped at once: the file is waited for.
  await tell(port, 'CONFIG', 'SET', 'appendonly', 'yes')
  expect(await stop(cluster)).toMatchObject({ code: 0, stderr: '' })
  await up()
  expect(await readable(cluster, all)).toBe(all.length)

  // The disk is full.
  const owner = (await cluster.status()).nodes.find((node) => node.port === port)
  const stored = await fillDisk(port, owner?.slots[0] as [number, number])
  const full = await stop(cluster)
  expect(full.code).toBe(1)
  expect(full.stderr).toContain(
    `127.0.0.1:${port}: it cannot write to ${nodeDir(dataDir, port)} (aof_last_write_status:err`,
  )
  expect(await alive(cluster)).toBe(3)
  const pid = cluster.nodes.find((node) => node.port === port)?.pid as number
  await run('prlimit', ['--pid', `${pid}`, '--fsize=unlimited:'])
  expect(await stop(cluster)).toMatchObject({ code: 0, stderr: '' })
  await up((await findServer({})).path)
  expect(await readable(cluster, stored)).toBe(stored.length)

  // There is something in the way of what SHUTDOWN saves, which is in no field.
  const own = cluster.nodes.find((node) => node.port === port)?.pid as number
  const inTheWay = join(nodeDir(dataDir, port), `temp-${own}.rdb`)
  await mkdir(inTheWay)
  await writeKeys(cluster, before, () => 'changed')
  const half = await stop(cluster)
  expect(half.code).toBe(1)
  expect(half.stderr).toContain(
    `node ${port} (pid ${own}) could not be stopped: ERR Errors trying to SHUTDOWN`,
  )
  expect(half.stderr).toContain(`it could not save to ${nodeDir(dataDir, port)}`)
  expect(half.stderr).toContain('then the same command again')
  expect(await alive(cluster)).toBe(1)
  await rmdir(inTheWay)
  expect(await stop(cluster)).toMatchObject({ code: 0, stderr: '' })
  expect(await alive(cluster)).toBe(0)
}, 120_000)

test('one that is to be removed is stopped, whatever it has on its disk', async () => {
  const cluster = await ownCluster({ replicasPerMaster: 0 })
  for (const { port } of cluster.nodes) await tell(port, 'CONFIG', 'SET', 'appendonly', 'no')
  expect(await cluster.stop({ remove: true })).toMatchObject({ removed: true })
  expect(await alive(cluster)).toBe(0)
})
