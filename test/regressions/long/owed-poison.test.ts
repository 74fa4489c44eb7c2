import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type LocalCluster, planFix } from '../../../src/cluster/index.js'
import { withLink } from '../../../src/cluster/link.js'
import { evenUnlocked, withOperation } from '../../../src/cluster/operation/index.js'
import { KeyLink } from '../../../src/cluster/operation/key-link.js'
import { withLent } from '../../../src/cluster/owed/lend.js'
import { OwedNotes } from '../../../src/cluster/owed/notes.js'
import { settleOwed } from '../../../src/cluster/owed/settle.js'
import { OPERATION_KEY, OWED_KEY } from '../../../src/cluster/own-keys.js'
import { settingOf } from '../../../src/cluster/settings-read.js'
import { slotOf } from '../../../src/keys/slots.js'
import { eventually } from '../../helpers/behaviour/harness.js'
import { owns, tell } from '../../helpers/nodes.js'
import { openCluster } from '../../helpers/own-cluster.js'

/** One note that could not be paid, or not be read, held back all that were behind it, for good, and nobody said so. */
let cluster: LocalCluster
let dispose: () => Promise<void>
let ids: readonly string[]
beforeAll(async () => {
  ;({ cluster, dispose } = await openCluster())
  ids = await Promise.all(cluster.seeds.map(({ port }) => tell(port, 'CLUSTER', 'MYID')))
})
afterAll(() => dispose?.())

const MIGRATION = 'cluster-allow-replica-migration'
const LAZY = 'lazyfree-lazy-server-del'

const settings = (name: string) =>
  Promise.all(cluster.seeds.map((seed) => withLink(seed, {}, (link) => settingOf(link, name))))
const everywhere = (value: string) => cluster.seeds.map(() => value)

async function atKey(command: string, ...args: string[]): Promise<unknown> {
  const link = new KeyLink(cluster.seeds, {})
  try {
    return await link.call({ timeoutMs: 5_000 }, command, ...args)
  } finally {
    link.close()
  }
}

/** As an operation leaves it that was killed: every node has `no`. */
async function owe(): Promise<void> {
  const notes = new OwedNotes(cluster.seeds, {})
  try {
    for (const id of ids)
      await notes.write({
        kind: 'lent',
        operation: 'remove-node',
        id,
        settings: { [MIGRATION]: { was: 'yes', lent: 'no' } },
      })
  } finally {
    notes.close()
  }
  for (const { port } of cluster.seeds) await tell(port, 'CONFIG', 'SET', MIGRATION, 'no')
}

beforeEach(async () => {
  await atKey('DEL', OWED_KEY)
  for (const { port } of cluster.seeds) await tell(port, 'CONFIG', 'SET', MIGRATION, 'yes', LAZY, 'no')
})

describe('a note of a node that does not let us use CONFIG', () => {
  /** One that runs operations, and was given less on the first node. */
  const OPERATOR = { username: 'ops', password: 'hush-ops' }
  const first = () => cluster.seeds[0]?.port ?? 0
  beforeAll(async () => {
    for (const { port } of cluster.seeds)
      await tell(port, 'ACL', 'SETUSER', 'ops', 'on', '>hush-ops', '~*', '&*', '+@all')
    await tell(first(), 'ACL', 'SETUSER', 'ops', '-config')
  })

  it('holds back no other, and stays', async () => {
    await owe()
    const left: string[] = []
    const settled = await settleOwed(cluster.seeds, OPERATOR, ({ what, why, remedy }) =>
      left.push(`${what}: ${why}; ${remedy}`),
    )
    expect(settled).toHaveLength(5)
    expect((await settings(MIGRATION)).filter((value) => value === 'no')).toHaveLength(1)
    expect(left).toEqual([
      expect.stringMatching(
        new RegExp(`^127.0.0.1:${first()} has not got back ${MIGRATION}.*'config\\|get'.*shardq cluster fix`),
      ),
    ])
    expect(await atKey('HLEN', OWED_KEY)).toBe(1)
  })

  it('is named by fix, which gives back the others', async () => {
    await owe()
    const fix = await planFix(cluster.seeds, OPERATOR)
    expect(fix.steps.map(({ kind }) => kind)).toEqual(Array(5).fill('give-back'))
    const left = [{ what: expect.stringContaining(`127.0.0.1:${first()} has not got back ${MIGRATION}`) }]
    expect(fix.left).toMatchObject(left)
    expect((await fix.run()).left).toMatchObject(left)
    expect((await settings(MIGRATION)).filter((value) => value === 'no')).toHaveLength(1)
    // By one who may.
    expect((await (await planFix(cluster.seeds)).run()).left).toEqual([])
    expect(await settings(MIGRATION)).toEqual(everywhere('yes'))
    expect(await atKey('HLEN', OWED_KEY)).toBe(0)
  })

  it('is told by the operation that finds it', async () => {
    await owe()
    const { settled, unpaid } = await withOperation(
      cluster.seeds,
      OPERATOR,
      { name: 'rebalance' },
      undefined,
      async (held) => held,
    )
    expect([settled.length, unpaid.length]).toEqual([5, 1])
  })
})

it.each([
  ['lent x', '{"kind":"lent","operation":"x","id":"x"}'],
  ['\u001b[2J$(reboot)', 'not JSON'],
  ['restarted other', '{"kind":"restarted"}'],
])('what cannot be read holds back nothing, and is named by fix: %j', async (field, text) => {
  await atKey('HSET', OWED_KEY, field, text)
  await owe()
  const { left } = await planFix(cluster.seeds)
  expect(left).toMatchObject([
    { what: expect.stringContaining('1 note'), remedy: expect.stringContaining(`HDEL ${OWED_KEY}`) },
  ])
  expect(left[0]?.what).not.toContain('\u001b')
  expect(left[0]?.remedy).not.toContain('reboot')
  expect(await settleOwed(cluster.seeds, {})).toHaveLength(6)
  expect(await settings(MIGRATION)).toEqual(everywhere('yes'))
  await atKey('HDEL', OWED_KEY, field)
  expect(await planFix(cluster.seeds)).toMatchObject({ steps: [], left: [] })
})

it('what somebody else has under the name of the notes is named by fix', async () => {
  await atKey('SET', OWED_KEY, 'mine')
  expect((await planFix(cluster.seeds)).left).toMatchObject([{ why: expect.stringContaining(OWED_KEY) }])
})

it('without the lock nothing is given back: whoever has lent it may be at work', async () => {
  await owe()
  const slot = slotOf(OPERATION_KEY)
  const { nodes } = await cluster.status()
  const owner = nodes.find((node) => node.role === 'master' && owns(node, slot))
  if (!owner) throw new Error('no owner')
  await atKey('DEL', OPERATION_KEY)
  await tell(owner.port, 'CLUSTER', 'DELSLOTS', slot)
  const unlocked: string[] = []
  const how = evenUnlocked('users apply', ({ name }) => unlocked.push(name))
  const { settled } = await withOperation(cluster.seeds, {}, how, undefined, async (held) => held)
  expect(unlocked).toEqual(['LockUnavailableError'])
  expect(settled).toEqual([])
  expect(await settings(MIGRATION)).toEqual(everywhere('no'))

  // Nor by fix, which has to do without it until the slot has an owner.
  const fix = await (await planFix(cluster.seeds, { agreeMs: 500 })).run()
  expect(fix.done.map(({ kind }) => kind)).toEqual(['assign'])
  expect(fix.left).toHaveLength(6)
  expect(fix.left[0]).toMatchObject({
    why: expect.stringContaining('without the lock'),
    remedy: expect.stringContaining('shardq cluster fix'),
  })
  expect(await settings(MIGRATION)).toEqual(everywhere('no'))
  await eventually(async () => expect((await cluster.status()).state).toBe('ok'))
  expect((await (await planFix(cluster.seeds)).run()).left).toEqual([])
  expect(await settings(MIGRATION)).toEqual(everywhere('yes'))
})

describe('two settings that are lent to one node', () => {
  const loanOf = (setting: typeof MIGRATION | typeof LAZY, value: 'yes' | 'no') => ({
    operation: 'rebalance',
    nodes: cluster.seeds.map((seed, index) => ({ ...seed, id: ids[index] ?? '' })),
    setting,
    value,
  })

  it('are two notes, and each is given back', async () => {
    await withLent(cluster.seeds, loanOf(MIGRATION, 'no'), {}, async () => {
      await withLent(cluster.seeds, loanOf(LAZY, 'yes'), {}, async () => {
        expect([await settings(MIGRATION), await settings(LAZY)]).toEqual([
          everywhere('no'),
          everywhere('yes'),
        ])
        expect(await atKey('HLEN', OWED_KEY)).toBe(12)
      })
      expect([await settings(MIGRATION), await settings(LAZY)]).toEqual([everywhere('no'), everywhere('no')])
      expect(await atKey('HLEN', OWED_KEY)).toBe(6)
    })
    expect(await settings(MIGRATION)).toEqual(everywhere('yes'))
    expect(await atKey('HLEN', OWED_KEY)).toBe(0)
  })

  it('killed in between, both are given back by whoever comes next', async () => {
    const never = new Promise<never>(() => undefined)
    await new Promise<void>((reached) => {
      void withLent(cluster.seeds, loanOf(MIGRATION, 'no'), {}, () =>
        withLent(cluster.seeds, loanOf(LAZY, 'yes'), {}, async () => {
          reached()
          return never
        }),
      )
    })
    expect(await settleOwed(cluster.seeds, {})).toHaveLength(12)
    expect([await settings(MIGRATION), await settings(LAZY)]).toEqual([everywhere('yes'), everywhere('no')])
  })

  it('what is only to be gentler is left where it cannot be written down', async () => {
    await atKey('SET', OWED_KEY, 'mine')
    const seen = () => settings(LAZY)
    await expect(withLent(cluster.seeds, loanOf(LAZY, 'yes'), {}, seen)).rejects.toThrow(OWED_KEY)
    const gentle = { ...loanOf(LAZY, 'yes'), optional: true }
    expect(await withLent(cluster.seeds, gentle, {}, seen)).toEqual(everywhere('no'))
    expect(await settings(LAZY)).toEqual(everywhere('no'))
  })
})
