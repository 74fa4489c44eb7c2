import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { withLink } from '../../src/cluster/link.js'
import { drill, type LocalCluster, openCluster as openExisting } from '../../src/cluster.js'
import type { Check, DrillReport, DrillStep } from '../../src/drill/index.js'
import { shardq } from '../helpers/cli.js'
import { openCluster } from '../helpers/own-cluster.js'

const SHORT = { rate: 200, beforeMs: 600, afterMs: 600 } as const
/** As in failover.test.ts: far below the outage, with room for a busy machine. The drill's own limit is stricter. */
const STALL_MS = 1_000

describe('a drill', () => {
  let cluster: LocalCluster
  let dispose: () => Promise<void>

  beforeAll(async () => {
    ;({ cluster, dispose } = await openCluster({ settings: { 'enable-debug-command': 'no' } }))
  })

  afterAll(() => dispose())

  const connection = () => ({ mode: 'cluster', nodes: cluster.seeds }) as const

  async function keysLeft(): Promise<number> {
    const counts = await Promise.all(
      cluster.seeds.map((node) => withLink(node, {}, async (link) => Number(await link.text('DBSIZE')))),
    )
    return counts.reduce((sum, count) => sum + count, 0)
  }

  /** Every node runs, agrees, and is linked; and nothing of the drill is left on any. */
  async function leftAsItWas(): Promise<void> {
    await cluster.waitUntilReady({ writes: false, timeoutMs: 10_000 })
    expect(await keysLeft()).toBe(0)
  }

  /** All but the time limit, which is for machines that do nothing else. */
  const failures = ({ checks }: DrillReport) =>
    checks.filter(({ check, passed }: Check) => !passed && !check.startsWith('longest enqueue'))

  it('by request: a replica takes over and hands back, and every task is accounted for', async () => {
    const steps: DrillStep[] = []
    const report = await drill({
      kind: 'failover',
      cluster,
      ...SHORT,
      onStep: (step) => steps.push(step),
    })
    expect(failures(report)).toEqual([])
    const { failover, byServerLogs, client, stall, load, struck } = report
    expect(failover).toMatchObject({ detectionMs: null, electionMs: null })
    expect(failover.promotionMs).toBeLessThan(2_000)
    expect(byServerLogs?.promotionMs).toBeLessThan(2_000)
    expect(client.runsAgainMs).toBeLessThan(2_000)
    expect(stall.longestMs).toBeLessThan(STALL_MS)
    expect(load).toMatchObject({ rejected: 0, keysLeft: 0, heldInTheEnd: 0 })
    expect(load.acknowledged).toBeGreaterThan(300)
    if (report.notes.length === 0) expect(struck.masterAfter).toBe(struck.master)
    expect(steps.map(({ text }) => text).join('\n')).toContain('every node agrees')
    expect(steps.at(0)?.sinceStrikeMs).toBeNull()
    await leftAsItWas()
  }, 30_000)

  it('by SIGKILL: detection, election and what clients see, by our eyes and by the servers’ logs', async () => {
    // A master may hear its new replica's first word a second late, and tasks with a key wait for it.
    const report = await drill({ kind: 'kill', cluster, ...SHORT, afterMs: 2_000 })
    expect(failures(report)).toEqual([])
    const { failover, byServerLogs, client, stall, shards, struck } = report
    expect(failover.detectionMs).toBeGreaterThan(500)
    expect(failover.electionMs).toBeGreaterThan(0)
    expect(failover.promotionMs).toBeLessThan(10_000)
    expect(Math.abs((byServerLogs?.detectionMs ?? 0) - (failover.detectionMs ?? 0))).toBeLessThan(500)
    expect(Math.abs((byServerLogs?.promotionMs ?? 0) - (failover.promotionMs ?? 0))).toBeLessThan(500)
    expect(client.runsAgainMs).toBeGreaterThan((failover.promotionMs ?? 0) - 100)
    expect(client.keyedAcknowledgedMs).not.toBeNull()
    expect(stall.longestMs).toBeLessThan(STALL_MS)
    expect(struck.replicas).toContain(struck.masterAfter)
    expect(shards.find((shard) => shard.struck)).toMatchObject({ master: struck.master })
    for (const { struck: isStruck, duringPerS } of shards)
      if (!isStruck) expect(duringPerS).toBeGreaterThan(50)
    await leftAsItWas()
  }, 40_000)

  it('of a cluster that is not ours asks the servers, and says what they would have to permit', async () => {
    const report = await drill({ kind: 'failover', cluster: connection(), ...SHORT })
    expect(failures(report)).toEqual([])
    expect(report).toMatchObject({ cluster: { local: false }, byServerLogs: null })
    await expect(drill({ kind: 'freeze', cluster: connection(), ...SHORT })).rejects.toMatchObject({
      name: 'DrillNotPermittedError',
      message: expect.stringContaining('enable-debug-command'),
    })
    await leftAsItWas()
  }, 30_000)

  it('that is interrupted thaws what it froze, and removes its keys', async () => {
    const interrupt = new AbortController()
    const drilling = drill({
      kind: 'freeze',
      cluster,
      ...SHORT,
      signal: interrupt.signal,
      onStep: ({ sinceStrikeMs }) => {
        if (sinceStrikeMs !== null) setTimeout(() => interrupt.abort(), 100)
      },
    })
    await expect(drilling).rejects.toMatchObject({ name: 'InterruptedError' })
    await leftAsItWas()
  }, 30_000)

  it('is refused on a cluster that is not whole, and nothing is done', async () => {
    const { nodes } = await cluster.status()
    const replica = nodes.find(({ role }) => role === 'replica')
    const master = nodes.find(({ slots }) => slots.length > 0)
    await expect(
      drill({ kind: 'kill', cluster, shard: { host: '127.0.0.1', port: replica?.port ?? 0 } }),
    ).rejects.toMatchObject({ name: 'InvalidOptionError', option: 'shard' })
    await cluster.killNode(replica?.port ?? 0)
    await expect(drill({ kind: 'kill', cluster, ...SHORT })).rejects.toMatchObject({
      name: 'ClusterNotWholeError',
      missing: expect.arrayContaining([expect.stringContaining(String(replica?.port))]),
    })
    await expect(openExisting(cluster.dataDir)).rejects.toMatchObject({ name: 'ClusterNotReadyError' })
    await cluster.restartNode(replica?.port ?? 0)
    await leftAsItWas()
    expect((await cluster.status()).nodes.find(({ port }) => port === master?.port)?.role).toBe('master')
  }, 30_000)

  it('shows on the command line what it will do, and does nothing without --yes where nobody can be asked', async () => {
    const args = ['cluster', 'drill', '--data-dir', cluster.dataDir]
    const before = await cluster.status()
    const { code, stdout, stderr } = await shardq([...args, '--kind', 'all'])
    expect(code).toBe(2)
    expect(stderr).toContain('--yes')
    const [master] = before.nodes.filter(({ slots }) => slots.length > 0)
    const pid = cluster.nodes.find(({ port }) => port === master?.port)?.pid
    expect(stdout).toContain(`SIGKILL to 127.0.0.1:${master?.port} (pid ${pid})`)
    expect(stdout).toContain(`SIGSTOP to 127.0.0.1:${master?.port} (pid ${pid})`)
    expect(await shardq(args)).toMatchObject({ code: 2, stdout: '' })
    const json = await shardq([...args, '--kind', 'kill', '--json'])
    expect(json.code).toBe(2)
    expect(JSON.parse(json.stdout)).toMatchObject({ error: { name: 'InvalidOptionError', option: '--yes' } })
    expect((await cluster.status()).currentEpoch).toBe(before.currentEpoch)
    await leftAsItWas()
  }, 30_000)
})
