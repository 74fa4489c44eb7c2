import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { nodeDir } from '../../../src/cluster/data-dir.js'
import { NodeStopError } from '../../../src/cluster/errors.js'
import { findServer, type LocalNode, startCluster, stopCluster } from '../../../src/cluster/index.js'
import { notKept } from '../../../src/cluster/kept.js'
import { NodeLink } from '../../../src/cluster/link.js'
import { type NodePlace, probeNode, stopNode } from '../../../src/cluster/node.js'
import { processStamp } from '../../../src/cluster/processes.js'
import { type NodeView, parseFields } from '../../../src/cluster/replies.js'
import { slotOf } from '../../../src/keys/slots.js'
import { eventually } from '../../helpers/behaviour/harness.js'
import { shardq } from '../../helpers/cli.js'
import { owns, tell } from '../../helpers/nodes.js'
import { ownCluster } from '../../helpers/own-cluster.js'
import { plainKeys, readable, writeKeys } from '../../helpers/plain-keys.js'
import { serverWithoutRoom } from '../../helpers/without-room.js'

const run = promisify(execFile)

const persistence = async (port: number) => parseFields(await tell(port, 'INFO', 'persistence'))

/** A first log, and a snapshot, take a second for each key from now on. */
const slowly = (port: number) => tell(port, 'CONFIG', 'SET', 'rdb-key-save-delay', '1000000')
const quickly = (port: number) => tell(port, 'CONFIG', 'SET', 'rdb-key-save-delay', '0')

async function running(place: NodePlace) {
  const state = await probeNode(place)
  if (state.state !== 'running') throw new Error(state.state)
  return state
}

async function withoutLog() {
  const cluster = await ownCluster({ replicasPerMaster: 0 })
  const { port, pid } = cluster.nodes[0] as LocalNode
  await tell(port, 'CONFIG', 'SET', 'appendonly', 'no')
  const place: NodePlace = { port, dir: nodeDir(cluster.dataDir, port), access: {} }
  return { cluster, port, pid, place }
}

test('a node whose first log is only scheduled is not ended: it would come back with an old one', async () => {
  const { cluster, port, pid, place } = await withoutLog()
  await writeKeys(cluster, plainKeys(180), () => 'after')
  await slowly(port)
  await tell(port, 'BGSAVE')
  await quickly(port)
  await tell(port, 'CONFIG', 'SET', 'appendonly', 'yes')
  expect((await persistence(port)).get('aof_rewrite_scheduled')).toBe('1')

  const problem = await notKept(place, await running(place), { writtenMs: 1_000 })
  expect(problem).toContain('a snapshot is being saved')
  expect(problem).toContain(
    `until this says aof_rewrite_in_progress:0 and aof_rewrite_scheduled:0: redis-cli -h 127.0.0.1 -p ${port} INFO persistence`,
  )
  expect(await processStamp(pid)).not.toBeNull()
}, 40_000)

test('a node whose first log has failed, and is not tried again for minutes, is not ended', async () => {
  const redisPath = await serverWithoutRoom()
  const settings = { rdbcompression: 'no' }
  let cluster = await ownCluster({ replicasPerMaster: 0, redisPath, settings })
  const { dataDir } = cluster
  const { port, pid } = cluster.nodes[0] as LocalNode
  const stop = () => shardq(['cluster', 'stop', '--data-dir', dataDir])
  await tell(port, 'CONFIG', 'SET', 'appendonly', 'no')
  const node = (await cluster.status()).nodes.find((each) => each.port === port) as NodeView
  const all = plainKeys(2_400).filter((name) => owns(node, slotOf(name)))
  await writeKeys(cluster, all, () => 'x'.repeat(1_000))
  await tell(port, 'CONFIG', 'SET', 'appendonly', 'yes')
  await eventually(async () => {
    const failures = (await readFile(`${nodeDir(dataDir, port)}/redis.log`, 'utf8')).match(
      /AOF rewrite has repeatedly failed/g,
    )
    expect(failures).not.toBeNull()
  }, 20_000)

  // There is room again, and the server does not try before its pause is over.
  await run('prlimit', ['--pid', `${pid}`, '--fsize=unlimited:'])
  const refused = await stop()
  expect(refused.code).toBe(1)
  expect(refused.stderr).toContain('nothing was stopped')
  expect(refused.stderr).toContain('aof_last_bgrewrite_status:err')
  expect(refused.stderr).toContain(`redis-cli -h 127.0.0.1 -p ${port} BGREWRITEAOF`)
  expect(await processStamp(pid)).not.toBeNull()

  await tell(port, 'BGREWRITEAOF')
  expect(await stop()).toMatchObject({ code: 0, stderr: '' })
  cluster = await startCluster({ dataDir, redisPath: (await findServer({})).path })
  expect(await readable(cluster, all)).toBe(all.length)
}, 60_000)

test('a node that has refused to end is not asked again once the writing of its first log has failed', async () => {
  const { cluster, port, pid, place } = await withoutLog()
  await writeKeys(cluster, plainKeys(60), () => 'after')
  await slowly(port)
  await tell(port, 'CONFIG', 'SET', 'appendonly', 'yes')
  const stopped = stopNode(place, await running(place), { keepData: true }).catch((error: Error) => error)
  await eventually(async () => {
    expect(await tell(port, 'INFO', 'commandstats')).toMatch(/cmdstat_shutdown:.*failed_calls=[1-9]/)
  }, 5_000)
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8')
  process.kill(Number(children.trim()), 'SIGKILL')

  const error = await stopped
  expect(error).toBeInstanceOf(NodeStopError)
  expect((error as Error).message).toContain('aof_last_bgrewrite_status:err')
  expect(await processStamp(pid)).not.toBeNull()
}, 40_000)

test('a later rewrite of the log keeps nobody from ending a node', async () => {
  const { cluster, port, place } = await withoutLog()
  await tell(port, 'CONFIG', 'SET', 'appendonly', 'yes')
  await eventually(async () => expect((await persistence(port)).get('aof_rewrite_in_progress')).toBe('0'))
  await writeKeys(cluster, plainKeys(180), () => 'after')
  await slowly(port)
  await tell(port, 'BGREWRITEAOF')
  expect((await persistence(port)).get('aof_rewrite_in_progress')).toBe('1')
  expect(await notKept(place, await running(place), { writtenMs: 0 })).toBeNull()
}, 20_000)

test('a node whose log is off is not ended because it does not answer, or turns us away', async () => {
  const { cluster, port, pid } = await withoutLog()
  const { dataDir } = cluster
  const stop = () => shardq(['cluster', 'stop', '--data-dir', dataDir])
  const alive = async () =>
    (await Promise.all(cluster.nodes.map((each) => processStamp(each.pid)))).every(Boolean)
  const expectRefused = async (...said: string[]) => {
    const { code, stderr } = await stop()
    expect(code).toBe(1)
    const typed = `redis-cli -h 127.0.0.1 -p ${port} CONFIG SET appendonly yes`
    for (const text of ['nothing was stopped', `127.0.0.1:${port}: it does not answer`, typed, ...said])
      expect(stderr).toContain(text)
    expect(await alive()).toBe(true)
  }
  const all = plainKeys(300)
  await writeKeys(cluster, all, () => 'after')

  process.kill(pid, 'SIGSTOP')
  await expectRefused(`kill -CONT ${pid}`)
  process.kill(pid, 'SIGCONT')
  await tell(port, 'PING')

  const link = await NodeLink.open({ host: '127.0.0.1', port }, { timeoutMs: 10_000 })
  onTestFinished(() => link.close())
  await link.text('CONFIG', 'SET', 'maxclients', '1')
  await expectRefused('maxclients')
  await link.text('CONFIG', 'SET', 'maxclients', '10000')

  const loop = "local from = redis.call('TIME')[1]; repeat until redis.call('TIME')[1] - from >= 4"
  const busy = link.text('EVAL', loop, '0')
  // From here, so that it is there while the node is busy.
  await expect(stopCluster({ dataDir })).rejects.toThrow(`127.0.0.1:${port}: it does not answer`)
  expect(await alive()).toBe(true)
  await busy

  await link.text('CONFIG', 'SET', 'appendonly', 'yes')
  expect(await stop()).toMatchObject({ code: 0, stderr: '' })
  const again = await startCluster({ dataDir })
  expect(await readable(again, all)).toBe(all.length)
}, 60_000)
