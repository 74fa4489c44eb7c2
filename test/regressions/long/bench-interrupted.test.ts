import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { isStale } from '../../../src/bench/leftovers.js'
import { NodeLink } from '../../../src/cluster/link.js'
import { shardq } from '../../helpers/cli.js'
import { ownCluster } from '../../helpers/own-cluster.js'
import { until } from '../../helpers/until.js'

test('bench that is interrupted, or killed: nothing of it stays', async () => {
  const cluster = await ownCluster()
  const links = await Promise.all(cluster.seeds.map((seed) => NodeLink.open(seed)))
  const keys = async () =>
    (await Promise.all(links.map((link) => link.reply('KEYS', '*bench-*')))).flat() as string[]
  const names = async () => {
    const found = await Promise.all(
      links.map((link) => link.reply('SMEMBERS', 'shardq:queues').catch(() => [])),
    )
    return (found.flat() as string[]).filter((name) => name.startsWith('bench-'))
  }
  const run = async (signal: 'SIGINT' | 'SIGKILL', isTime: (keys: readonly string[]) => boolean) => {
    let pid = 0
    const args = ['bench', '--data-dir', cluster.dataDir, '--tasks', '200000', '--rounds', '1']
    const running = shardq(args, {
      onSpawn: (child) => {
        pid = child.pid ?? 0
      },
    })
    await until('it is at work', keys, isTime, 60_000)
    process.kill(pid, signal)
    return running
  }
  // In the middle of a reading of shardq, then in the middle of one of the floor.
  for (const isTime of [
    (found: readonly string[]) => found.some((key) => key.startsWith('shardq:bench-')),
    (found: readonly string[]) => found.some((key) => key.startsWith('{bench-')),
  ]) {
    const { code, stderr } = await run('SIGINT', isTime)
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('was interrupted') })
    expect(stderr).not.toMatch(/^\s+at /m)
    expect(await keys()).toEqual([])
    expect(await names()).toEqual([])
  }

  // Killed outright, it can remove nothing; its process ends by itself, and the next run removes the rest when it is old.
  await run('SIGKILL', (found) => found.some((key) => key.startsWith('{bench-')))
  const [left = ''] = await names()
  const count = async () => (await Promise.all(links.map((link) => link.text('DBSIZE')))).map(Number).join()
  let before = ''
  await until(
    'its process has ended',
    async () => {
      const [was, now] = [before, await count()]
      before = now
      await sleep(500)
      return was === now
    },
    Boolean,
  )
  expect(isStale(left, Date.now())).toBe(false)
  const old = `bench-${(Date.now() - 3_600_000).toString(36)}-0123456789`
  expect(isStale(old, Date.now())).toBe(true)
  for (const link of links) {
    await link.text('SADD', 'shardq:queues', old, 'bench-mine').catch(() => '')
    await link.text('RPUSH', `{${old}.0}:ready`, 'x').catch(() => '')
  }
  expect((await names()).sort()).toEqual([left, old, 'bench-mine'].sort())
  await run('SIGINT', (found) => found.some((key) => key.startsWith('shardq:bench-') && !key.includes(left)))
  expect((await names()).sort()).toEqual([left, 'bench-mine'].sort())
  expect((await keys()).filter((key) => !key.includes(left))).toEqual([])
  for (const link of links) link.close()
}, 180_000)
