import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { startCluster, startSingle, stopCluster } from '../../src/cluster/index.js'
import { processStamp } from '../../src/cluster/processes.js'
import { ownCluster } from '../helpers/own-cluster.js'

/** A process that has nothing to do with us. */
async function stranger(): Promise<{ pid: number; alive: () => boolean }> {
  const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' })
  await once(child, 'spawn')
  onTestFinished(() => void child.kill('SIGKILL'))
  return { pid: child.pid ?? 0, alive: () => child.exitCode === null && child.signalCode === null }
}

test('stop kills nobody on the word of a stale pid file', async () => {
  const cluster = await ownCluster()
  const other = await stranger()
  await cluster.stop()
  // The pids of our dead nodes have gone to somebody else: with the stamps of old, with none, and with nonsense.
  const [first, second, third] = cluster.nodes
  await writeFile(join(first?.dir ?? '', 'redis.pid'), `${other.pid}\nstamp-of-old\n`)
  await writeFile(join(second?.dir ?? '', 'redis.pid'), `${other.pid}\n`)
  await writeFile(join(third?.dir ?? '', 'redis.pid'), 'nonsense')

  const report = await stopCluster({ dataDir: cluster.dataDir })
  expect(new Set(report.nodes.map(({ outcome }) => outcome))).toEqual(new Set(['not running']))
  expect(other.alive()).toBe(true)
})

test('stop finds its nodes without pid files, by what they say of themselves', async () => {
  const cluster = await ownCluster()
  for (const { dir } of cluster.nodes) await rm(join(dir, 'redis.pid'))
  const report = await stopCluster({ dataDir: cluster.dataDir })
  expect(report.nodes.every(({ outcome }) => outcome === 'stopped')).toBe(true)
})

test('a Redis or anything else on the port of a dead node of ours is left alone', async () => {
  const cluster = await ownCluster()
  await cluster.stop()
  const [first, second] = cluster.nodes
  const redis = await startSingle({ port: first?.port ?? 0 })
  onTestFinished(() => redis.stop())
  const listener = createServer().listen(second?.port ?? 0, '127.0.0.1')
  await once(listener, 'listening')
  onTestFinished(() => void listener.close())

  const report = await stopCluster({ dataDir: cluster.dataDir })
  const outcomes = new Map(report.nodes.map(({ port, outcome }) => [port, outcome]))
  expect(outcomes.get(first?.port ?? 0)).toBe('foreign')
  expect(outcomes.get(second?.port ?? 0)).toBe('foreign')
  expect(await processStamp(redis.pid)).not.toBeNull()
  await expect(startCluster({ dataDir: cluster.dataDir })).rejects.toThrow(`port ${first?.port} is in use`)
})

test('frozen nodes of ours are known by pid and start time, and ended', async () => {
  const cluster = await ownCluster()
  const [master, , , replica] = cluster.nodes
  await cluster.freezeNode(master?.port ?? 0)
  await cluster.freezeNode(replica?.port ?? 0)
  const report = await cluster.stop()
  expect(report.nodes.every(({ outcome }) => outcome === 'stopped')).toBe(true)
  for (const { pid } of cluster.nodes) expect(await processStamp(pid)).toBeNull()
})
