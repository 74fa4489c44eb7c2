import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { nameOf, planFix } from '../../../src/cluster/index.js'
import { eventually } from '../../helpers/behaviour/harness.js'
import { expectClean } from '../../helpers/check-clean.js'
import { shardq } from '../../helpers/cli.js'
import { monitor } from '../../helpers/monitor.js'
import { tell } from '../../helpers/nodes.js'
import { ownCluster } from '../../helpers/own-cluster.js'
import { plainKeys, readable, writeKeys } from '../../helpers/plain-keys.js'
import { running } from '../../helpers/running-cli.js'

/** How long the lock of an operation outlives it, and a little more. */
const LOCK_MS = 21_000

it('a rebalance that stood still with slots open, while others moved them on, does nothing when it wakes', async () => {
  const cluster = await ownCluster()
  const names = plainKeys(60_000)
  await writeKeys(cluster, names, () => 'v')
  const [a, b, c] = (await cluster.status()).nodes.filter(({ role }) => role === 'master')
  if (!a || !b || !c) throw new Error('no masters')
  const rebalance = (...weights: [number, number, number]) => [
    ...['cluster', 'rebalance', '--yes', '--node', nameOf(a)],
    ...[a, b, c].flatMap((node, i) => ['--weight', `${nameOf(node)}=${weights[i]}`]),
  ]
  const openOn = async (port: number) => {
    const view = await tell(port, 'CLUSTER', 'NODES')
    return (view.split('\n').find((line) => line.includes('myself')) ?? '').split('[').length - 1
  }

  let isArmed = true
  await monitor(b.port, (line) => {
    if (!isArmed || !/"RESTORE-ASKING"/i.test(line)) return
    isArmed = false
    paused.signal('SIGSTOP')
  })
  const paused = running(rebalance(0.1, 1.9, 1))
  // In the midst of a batch: between two of them it goes on to the next key.
  await eventually(async () => {
    expect(isArmed).toBe(false)
    const open = (await openOn(a.port)) + (await openOn(b.port))
    if (open === 0) {
      isArmed = true
      paused.signal('SIGCONT')
    }
    expect(open).toBeGreaterThan(0)
  }, 60_000)
  const beside = await shardq(rebalance(0.1, 1, 3))
  expect([beside.code, beside.stderr]).toEqual([1, expect.stringContaining('rebalance has to wait')])

  await sleep(LOCK_MS)
  for (const args of [rebalance(0.1, 1, 3), rebalance(0.1, 1.5, 2.5)]) {
    const next = await shardq(args)
    expect([next.code, next.stderr]).toEqual([0, ''])
  }
  expect(await readable(cluster, names)).toBe(names.length)
  const before = await ownersOf(a.port)

  paused.signal('SIGCONT')
  const { code, stderr } = await paused.ended
  expect(code).toBe(1)
  expect(stderr).toContain('rebalance lost its lock on the cluster')
  expect(await ownersOf(a.port)).toBe(before)
  expect(await readable(cluster, names)).toBe(names.length)
  expect((await planFix(cluster.seeds)).steps).toEqual([])
  await expectClean(a)
})

/** As one of them sees it, once all see the same: which slots are whose. */
async function ownersOf(port: number): Promise<string> {
  const lines = (await tell(port, 'CLUSTER', 'NODES')).trim().split('\n')
  return lines
    .map((line) => line.split(' '))
    .filter((words) => words.length > 8)
    .map(([id, , , , , , , , ...slots]) => [id, ...slots].join(' '))
    .sort()
    .join('\n')
}
