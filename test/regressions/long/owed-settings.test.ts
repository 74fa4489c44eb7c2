import { afterAll, beforeAll, expect, it } from 'vitest'
import { type LocalCluster, nameOf, planFix, planRemoval, planRolling } from '../../../src/cluster/index.js'
import { withLink } from '../../../src/cluster/link.js'
import { KeyLink } from '../../../src/cluster/operation/key-link.js'
import { settingOf } from '../../../src/cluster/settings-read.js'
import { tell } from '../../helpers/nodes.js'
import { openCluster } from '../../helpers/own-cluster.js'
import { killAt } from '../../operations/faults/break-off.js'

/**
 * What an operation sets for its own time, and what it has to tell a node again that it restarts, is only known to it. Killed in
 * between, it left `cluster-allow-replica-migration no` for good, and settings and users that were not written down were lost.
 */
let cluster: LocalCluster
let dispose: () => Promise<void>
beforeAll(async () => {
  ;({ cluster, dispose } = await openCluster({ masters: 4 }))
})
afterAll(() => dispose?.())

const MIGRATION = 'cluster-allow-replica-migration'
const settings = (nodes: readonly { port: number }[], name: string) =>
  Promise.all(
    nodes.map(({ port }) => withLink({ host: '127.0.0.1', port }, {}, (link) => settingOf(link, name))),
  )

/** What lies in the cluster of what is owed, as text. */
async function notes(seeds = cluster.seeds): Promise<string> {
  const link = new KeyLink(seeds, {})
  try {
    return JSON.stringify(await link.call({ timeoutMs: 1_000 }, 'HGETALL', 'shardq:owed'))
  } finally {
    link.close()
  }
}

const everywhere = (value: string) => cluster.seeds.map(() => value)

it('what a node was told that is being restarted is told again, whoever comes next', async () => {
  for (const { port } of cluster.seeds) {
    await tell(port, 'CONFIG', 'SET', 'slowlog-max-len', 77)
    await tell(port, 'ACL', 'SETUSER', 'reporter', 'on', '>wonderland', '+info', '+get')
  }
  const work = { operation: 'rolling-restart', how: { dataDir: cluster.dataDir } } as const
  const users = async () =>
    (await Promise.all(cluster.seeds.map(({ port }) => tell(port, 'ACL', 'LIST')))).filter((each) =>
      /user reporter on .*#[0-9a-f]{64} /.test(each),
    ).length

  await killAt('CONFIG SET', work, cluster.seeds)
  expect(await settings(cluster.seeds, 'slowlog-max-len')).toContain('128')
  expect(await users()).toBe(7)
  expect(await notes()).toContain('slowlog-max-len')
  expect(await notes()).not.toMatch(/#[0-9a-f]{64}/)
  const fix = await planFix(cluster.seeds)
  expect(fix.steps).toMatchObject([{ kind: 'give-back', told: ['slowlog-max-len', 'user reporter'] }])
  expect(await fix.run()).toMatchObject({ left: [] })
  expect(await settings(cluster.seeds, 'slowlog-max-len')).toEqual(everywhere('77'))
  expect(await users()).toBe(8)

  // Whoever has told it something since knows better, and is told what is not as it was.
  await killAt('CONFIG SET', work, cluster.seeds)
  const forgetful = (await settings(cluster.seeds, 'slowlog-max-len')).indexOf('128')
  await tell(cluster.seeds[forgetful]?.port ?? 0, 'CONFIG', 'SET', 'slowlog-max-len', 99)
  const { left } = await (await planFix(cluster.seeds)).run()
  expect(left).toMatchObject([{ why: expect.stringContaining('slowlog-max-len 77 (now 99): not told') }])
  expect((await settings(cluster.seeds, 'slowlog-max-len'))[forgetful]).toBe('99')
  expect(await users()).toBe(8)
  await tell(cluster.seeds[forgetful]?.port ?? 0, 'CONFIG', 'SET', 'slowlog-max-len', 77)

  await killAt('CONFIG SET', work, cluster.seeds)
  const told: string[] = []
  const enough = new AbortController()
  const again = await planRolling(cluster.seeds, {
    dataDir: cluster.dataDir,
    signal: enough.signal,
    onProgress: (progress) => {
      if (progress.state === 'note') told.push(progress.text)
      enough.abort()
    },
  })
  await again.run()
  expect(told).toEqual([
    expect.stringMatching(/had forgotten slowlog-max-len, user reporter.*was told again/),
  ])
  expect(await settings(cluster.seeds, 'slowlog-max-len')).toEqual(everywhere('77'))
  expect(await users()).toBe(8)
  expect(await notes()).toBe('[]')
}, 90_000)

it('a removal that was killed leaves no setting behind, whoever comes next', async () => {
  const node = (await cluster.status()).nodes.find(({ role }) => role === 'master')
  if (!node) throw new Error('no master')
  const work = { operation: 'remove-node', node, withReplicas: true } as const
  const move = `CLUSTER SETSLOT ${node.slots[0]?.[0]} `
  expect(await settings(cluster.seeds, MIGRATION)).toEqual(everywhere('yes'))

  await killAt(move, work, cluster.seeds)
  expect(await settings(cluster.seeds, MIGRATION)).toContain('no')
  const fix = await planFix(cluster.seeds)
  expect(fix.steps).toMatchObject([{ kind: 'give-back' }, { kind: 'give-back' }])
  expect(await fix.run()).toMatchObject({ left: [] })
  expect(await settings(cluster.seeds, MIGRATION)).toEqual(everywhere('yes'))

  await killAt(move, work, cluster.seeds)
  expect(await settings(cluster.seeds, MIGRATION)).toContain('no')
  // Of one that was told another value since, it is not taken back.
  await tell(node.port, 'CONFIG', 'SET', MIGRATION, 'yes')
  const removal = await planRemoval(cluster.seeds, nameOf(node), { withReplicas: true })
  expect((await removal.run()).left).toEqual([])
  // Those that were removed are servers still.
  expect(await settings(cluster.seeds, MIGRATION)).toEqual(everywhere('yes'))
  expect(await notes(cluster.seeds.filter((each) => !removal.removes.includes(nameOf(each))))).toBe('[]')
}, 90_000)
