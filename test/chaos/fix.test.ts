import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type FixOptions,
  type FixReport,
  type LocalCluster,
  type NodeView,
  Observer,
  planFix,
} from '../../src/cluster/index.js'
import { NodeLink } from '../../src/cluster/link.js'
import { campsOf, selfOf, witnessesOf } from '../../src/cluster/views.js'
import { TaskQueue, Worker } from '../../src/index.js'
import { partitionSlots } from '../../src/keys/partitions.js'
import { tagForSlot } from '../../src/keys/slots.js'
import { eventually } from '../helpers/behaviour/harness.js'
import { shardq, signalOnce } from '../helpers/cli.js'
import { tell, tellAll } from '../helpers/nodes.js'
import { openCluster, ownCluster } from '../helpers/own-cluster.js'
import { onTerminal } from '../helpers/terminal.js'

let cluster: LocalCluster
let dispose: () => Promise<void>
beforeAll(async () => {
  ;({ cluster, dispose } = await openCluster())
})
afterAll(() => dispose?.())

/** A slot in the middle of A's share for each test, so that none meets what another has left. */
let nextSlot = 1_000
let [slot, a, b, c] = [0, {} as NodeView, {} as NodeView, {} as NodeView]

async function fresh(): Promise<void> {
  slot = nextSlot++
  const { nodes } = await cluster.status()
  const owner = nodes.find(({ slots }) => slots.some(([first, last]) => first <= slot && slot <= last))
  const others = nodes.filter(({ role, id }) => role === 'master' && id !== owner?.id)
  if (!owner || !others[0] || !others[1]) throw new Error('not three masters')
  ;[a, b, c] = [owner, others[0], others[1]]
}

const key = (name: string | number) => `{${tagForSlot(slot)}}${name}`
const setSlot = (node: NodeView, ...state: string[]) => tell(node.port, 'CLUSTER', 'SETSLOT', slot, ...state)
const open = async () => {
  await setSlot(b, 'IMPORTING', a.id)
  await setSlot(a, 'MIGRATING', b.id)
}
const fill = async (node: NodeView, names: readonly (string | number)[], value = 'v') => {
  for (const name of names) await tell(node.port, 'SET', key(name), value)
}
/** Into a node that does not own the slot. */
const smuggle = async (node: NodeView, name: string, value: string, from = a) => {
  await setSlot(node, 'IMPORTING', from.id)
  await tellAll(node.port, [['ASKING'], ['SET', key(name), value]])
}
const migrate = (names: readonly (string | number)[]) =>
  tell(a.port, 'MIGRATE', b.host, b.port, '', 0, 5_000, 'KEYS', ...names.map(key))

const dumpOf = async (node: NodeView, name: string) => {
  const link = await NodeLink.open(node)
  try {
    return (await link.bytes('DUMP', name)) as Buffer
  } finally {
    link.close()
  }
}
/** Into a node that imports the slot. */
const restoreAt = async (node: NodeView, name: string, ttlMs: number, dump: Buffer) => {
  const link = await NodeLink.open(node)
  try {
    await Promise.all([link.text('ASKING'), link.bytes('RESTORE', name, ttlMs, dump)])
  } finally {
    link.close()
  }
}

async function fix(options: FixOptions = {}): Promise<FixReport> {
  return (await planFix(cluster.seeds, options)).run()
}

const count = async (node: NodeView) => Number(await tell(node.port, 'CLUSTER', 'COUNTKEYSINSLOT', slot))

/** All see the same, nothing is open, and the slot with all these keys is one node's alone. */
async function expectMended(
  report: FixReport,
  owner: NodeView,
  names: readonly (string | number)[],
  value = 'v',
) {
  expect(report).toMatchObject({ left: [], agreed: true, openSlots: 0, interrupted: false })
  const observer = new Observer(cluster.seeds)
  try {
    const observation = await observer.observe()
    expect(campsOf(observation)).toHaveLength(1)
    const witnesses = witnessesOf(observation)
    expect(witnesses).toHaveLength(6)
    for (const witness of witnesses) expect(selfOf(witness)?.openSlots).toEqual([])
  } finally {
    observer.close()
  }
  expect(await Promise.all([a, b, c].map(count))).toEqual(
    [a, b, c].map(({ id }) => (id === owner.id ? names.length : 0)),
  )
  for (const name of names) expect(await tell(owner.port, 'GET', key(name))).toBe(value)
  expect(await fix()).toMatchObject({ done: [], left: [] })
}

/** All that a repair could change, to see that it has not. */
async function stateOf(): Promise<unknown> {
  return Promise.all(
    [a, b, c].map(async ({ port }) => {
      const own = (await tell(port, 'CLUSTER', 'NODES')).split('\n').find((line) => line.includes('myself'))
      return [own?.split(' ').slice(8), await tell(port, 'CLUSTER', 'GETKEYSINSLOT', slot, 100)]
    }),
  )
}

const NAMES = Array.from({ length: 250 }, (_, i) => i)

describe('an open slot', () => {
  it('half way, keys on both sides: the move is finished', async () => {
    await fresh()
    await fill(a, NAMES)
    await open()
    await migrate(NAMES.slice(0, 40))
    const report = await fix()
    expect(report.done.map(({ kind }) => kind)).toEqual(['finish'])
    await expectMended(report, b, NAMES)
  })

  it('both ends, nothing moved: closed, and the keys stay', async () => {
    await fresh()
    await fill(a, [1, 2])
    await open()
    await expectMended(await fix(), a, [1, 2])
  })

  it('only migrating', async () => {
    await fresh()
    await fill(a, [1])
    await setSlot(a, 'MIGRATING', b.id)
    await expectMended(await fix(), a, [1])
  })

  it('only migrating, and keys there already', async () => {
    await fresh()
    await fill(a, [1, 2])
    await open()
    await migrate([1])
    await setSlot(b, 'STABLE')
    await expectMended(await fix(), b, [1, 2])
  })

  it('only importing, with and without keys there', async () => {
    await fresh()
    await fill(a, [1])
    await setSlot(b, 'IMPORTING', a.id)
    await expectMended(await fix(), a, [1])
    // As a node that is restarted with old keys of the slot.
    await smuggle(b, '2', 'v')
    expect(await fix()).toMatchObject({
      done: [{ kind: 'drop-same' }],
      left: [{ remedy: expect.stringContaining('--bring-home') }],
      openSlots: 0,
    })
    await expectMended(await fix({ bringHome: true }), a, [1, 2])
  })

  it('all keys moved, and only the new owner, or only the old one, told', async () => {
    await fresh()
    await fill(a, [1])
    await open()
    await migrate([1])
    await setSlot(b, 'NODE', b.id)
    await expectMended(await fix(), b, [1])

    await fresh()
    await fill(a, [1])
    await open()
    await migrate([1])
    await setSlot(a, 'NODE', b.id)
    await expectMended(await fix({ agreeMs: 1_000 }), b, [1])
  })
})

describe('slots without an owner', () => {
  const drop = async () => {
    for (const { port } of [a, b, c, ...(await replicas())]) await tell(port, 'CLUSTER', 'DELSLOTS', slot)
  }
  const replicas = async () => (await cluster.status()).nodes.filter(({ role }) => role === 'replica')

  it('no keys: a master gets them', async () => {
    await fresh()
    await drop()
    const report = await fix({ agreeMs: 1_000 })
    expect(report.done).toMatchObject([{ kind: 'assign', keys: 0 }])
    expect(report).toMatchObject({ left: [], agreed: true })
    await eventually(async () => expect((await cluster.status()).slotsAssigned).toBe(16_384))
  })

  it('with keys: who has them gets the slot', async () => {
    await fresh()
    await fill(a, [1, 2])
    await drop()
    const report = await fix({ agreeMs: 1_000 })
    expect(report.done).toMatchObject([{ kind: 'assign', keys: 2, to: { id: a.id } }])
    await expectMended(report, a, [1, 2])
  })
})

describe('keys on the wrong node', () => {
  it('are brought to the owner of their slot, binary names and all', async () => {
    await fresh()
    await fill(a, [1])
    await smuggle(c, '2', 'v')
    await tellAll(c.port, [['ASKING'], ['SETEX', key('\u0000é'), 1_000, 'v']])
    await setSlot(c, 'STABLE')
    const before = await stateOf()
    // The owner has others of the slot, and may have deleted these since.
    expect(await fix()).toMatchObject({
      done: [{ kind: 'drop-same' }],
      left: [{ what: expect.stringContaining('where nobody finds') }],
    })
    expect(await stateOf()).toEqual(before)
    const report = await fix({ bringHome: true })
    expect(report.done.map(({ kind }) => kind)).toEqual(['bring-home'])
    await expectMended(report, a, [1, 2, '\u0000é'])
    expect(Number(await tell(a.port, 'TTL', key('\u0000é')))).toBeGreaterThan(900)
  })

  it('that the owner has just so are removed there; others are not', async () => {
    await fresh()
    await fill(a, [1, 2, 3])
    await smuggle(c, '1', 'v')
    await smuggle(c, '2', 'another')
    await smuggle(c, '4', 'v')
    await tellAll(c.port, [['ASKING'], ['SETEX', key(3), 1_000, 'v']])
    await setSlot(c, 'STABLE')
    expect(await fix()).toMatchObject({ done: [{ kind: 'drop-same', keys: 4 }], left: [{}], openSlots: 0 })
    // The value, the time to live, or the owner's deletion may be what tells them apart.
    expect((await tell(c.port, 'CLUSTER', 'GETKEYSINSLOT', slot, 100)).split(/[\n,]/).sort()).toEqual(
      [2, 3, 4].map(key).sort(),
    )
    expect(await count(a)).toBe(3)
    await tell(c.port, 'FLUSHALL')
    await smuggle(c, '1', 'v')
    await smuggle(c, '2', 'v')
    await setSlot(c, 'STABLE')
    await expectMended(await fix(), a, [1, 2, 3])
  })

  it('the same on both sides, as a MIGRATE leaves it that was cut off: one remains', async () => {
    await fresh()
    const members = Array.from({ length: 600 }, (_, i) => [`f${i}`, `v${i}`]).flat()
    await fill(a, ['s'])
    await tell(a.port, 'HSET', key('h'), ...members)
    await open()
    // In another order, so that the server lays it out otherwise.
    await tellAll(b.port, [['ASKING'], ['HSET', key('h'), ...members.slice(600), ...members.slice(0, 600)]])
    await tellAll(b.port, [['ASKING'], ['SET', key('s'), 'v']])
    expect(await fix()).toMatchObject({ left: [], openSlots: 0 })
    expect(await Promise.all([a, b, c].map(count))).toEqual([0, 2, 0])
    expect(await tell(b.port, 'HLEN', key('h'))).toBe('600')
  })

  /** MIGRATE sends what is left of the time to live: taken a while later, by a node that stood still, the copy runs out later. */
  it.each(['open', 'closed'])(
    'a copy that runs out at another time is the same: the owner’s counts (%s)',
    async (state) => {
      await fresh()
      await fill(a, ['s'])
      await tell(a.port, 'SET', key('t'), 'v', 'PX', 1_000_000)
      await tell(a.port, 'SET', key('never'), 'v')
      const dump = await dumpOf(a, key('t'))
      await setSlot(b, 'IMPORTING', a.id)
      await restoreAt(b, key('t'), 1_030_000, dump)
      if (state === 'open') await setSlot(a, 'MIGRATING', b.id)
      else await setSlot(b, 'STABLE')
      const report = await fix()
      const owner = state === 'open' ? b : a
      await expectMended(report, owner, ['s', 't', 'never'])
      expect(Number(await tell(owner.port, 'PTTL', key('t')))).toBeLessThanOrEqual(1_000_000)

      // One that never runs out is not one of which some time was left.
      await setSlot(owner === a ? b : a, 'IMPORTING', owner.id)
      await restoreAt(owner === a ? b : a, key('never'), 1_000_000, dump)
      await setSlot(owner, 'MIGRATING', owner === a ? b.id : a.id)
      expect((await fix()).left[0]?.why).toContain(`${key('never')} is on`)
      await tellAll(owner === a ? b.port : a.port, [['ASKING'], ['DEL', key('never')]])
      await expectMended(await fix(), owner, ['s', 't', 'never'])
    },
  )

  it.each(['open', 'closed'])(
    'not the same on both sides: named, and nothing is changed (%s)',
    async (state) => {
      await fresh()
      await fill(a, ['x', 'y'], 'ours')
      await smuggle(b, 'x', 'theirs')
      if (state === 'open') await setSlot(a, 'MIGRATING', b.id)
      else await setSlot(b, 'STABLE')
      const before = await stateOf()
      const report = await fix({ bringHome: true })
      expect(report.done).toEqual([])
      expect(report.left[0]?.why).toContain(`${key('x')} is on`)
      expect(report.left[0]?.remedy).toContain('redis-cli')
      expect(await stateOf()).toEqual(before)
      // What the remedy says, for who wants to keep the owner's.
      await tellAll(b.port, [['CLUSTER', 'SETSLOT', slot, 'IMPORTING', a.id], ['ASKING'], ['DEL', key('x')]])
      await expectMended(await fix(), a, ['x', 'y'], 'ours')
    },
  )

  it('a big one is left, with its size, unless that is wanted', async () => {
    await fresh()
    await fill(a, ['small', 'big'], 'v'.repeat(200_000))
    await fill(a, ['small'], 'v')
    await open()
    await migrate(['small'])
    const before = await stateOf()
    const report = await fix({ bigKeyBytes: 100_000 })
    expect(report.left).toMatchObject([{ why: expect.stringContaining(`${key('big')} (0.2 MB)`) }])
    expect(await stateOf()).toEqual(before)
    expect(await fix({ bigKeyBytes: 100_000, bigKeys: true })).toMatchObject({ left: [], openSlots: 0 })
    expect(await count(b)).toBe(2)
  })
})

describe('the command line', () => {
  const run = (args: readonly string[], onSpawn?: Parameters<typeof shardq>[1]) =>
    shardq(['cluster', 'fix', '--node', `127.0.0.1:${a.port}`, '--wait-ms', '2000', ...args], onSpawn)

  it('shows its plan, and does nothing without being told to', async () => {
    await fresh()
    await fill(a, [1])
    await open()
    const before = await stateOf()
    const dry = await run(['--dry-run'])
    expect(dry).toMatchObject({ code: 0, stderr: '' })
    expect(dry.stdout).toContain(`CLUSTER SETSLOT ${slot} STABLE`)
    const plan = JSON.parse((await run(['--dry-run', '--json'])).stdout)
    expect(plan).toMatchObject({
      steps: [{ kind: 'close', slot, commands: expect.any(Array) }],
      left: [],
      done: [],
    })
    const unasked = await run([])
    expect(unasked.code).toBe(2)
    expect(unasked.stderr).toContain('--yes')
    expect(await stateOf()).toEqual(before)
    const done = await run(['--yes', '--json'])
    expect(done).toMatchObject({ code: 0, stderr: '' })
    expect(JSON.parse(done.stdout)).toMatchObject({
      done: [{ kind: 'close' }],
      left: [],
      agreed: true,
      openSlots: 0,
    })
    expect(await run(['--yes'])).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('nothing to mend'),
    })
  })

  it.each([
    ['no\r', 2, 'nothing was done', 'migrating'],
    ['\u0003', 1, 'interrupted', 'migrating'],
    ['yes\r', 0, '✅ mended', undefined],
  ] as const)('asks on a terminal: %j', async (keys, code, says, left) => {
    await fresh()
    await setSlot(a, 'MIGRATING', b.id)
    const terminal = onTerminal(['cluster', 'fix', '--node', `127.0.0.1:${a.port}`])
    await eventually(() => expect(terminal.text).toContain('Type yes:'), 15_000)
    terminal.type(keys)
    expect(await terminal.closed).toBe(code)
    expect(terminal.text).toContain(says)
    const own = (await tell(a.port, 'CLUSTER', 'NODES')).split('\n').find((line) => line.includes('myself'))
    expect(own?.includes(`[${slot}->-`)).toBe(left !== undefined)
    await setSlot(a, 'STABLE')
  })

  it.each(['SIGKILL', 'SIGINT'] as const)(
    '%s in the middle, and again: every key is there once',
    async (signal) => {
      const many = Array.from({ length: 30 }, () => nextSlot++)
      await fresh()
      for (slot of many) {
        await fill(a, NAMES.slice(0, 20))
        await open()
        await migrate([0, 1, 2])
      }
      const first = await run(['--yes'], {
        onSpawn: signalOnce(signal, (stdout) => stdout.includes('✓')),
      })
      expect(first.code).toBe(signal === 'SIGKILL' ? null : 1)
      if (signal === 'SIGINT') expect(first.stdout).toContain('stopped; what was done stays done')
      expect((await planFix(cluster.seeds)).steps.length).toBeGreaterThan(0)
      expect(await run(['--yes'])).toMatchObject({ code: 0, stdout: expect.stringContaining('✅ mended') })
      for (slot of many) expect(await Promise.all([a, b, c].map(count))).toEqual([0, 20, 0])
    },
  )
})

it('mends under a queue that works: nothing acknowledged is lost, and all is run', async () => {
  const name = 'mended'
  const connection = { mode: 'cluster', nodes: cluster.seeds } as const
  const queue = new TaskQueue<{ note: number }>(name, { connection })
  await queue.connect()
  const seen = new Map<string, number>()
  const worker = new Worker<{ note: number }>(name, { note: () => null }, { connection, concurrency: 20 })
  worker.on('completed', ({ task }) => seen.set(task.id, (seen.get(task.id) ?? 0) + 1))
  await worker.start()
  const acknowledged: string[] = []
  const refused: Error[] = []
  let going = true
  // Those with a key wait while their partition is half way; the others go round it.
  const producing = Array.from({ length: 6 }, async (_, producer) => {
    while (going) {
      const options = producer < 3 ? { partitionKey: `k${acknowledged.length % 40}` } : {}
      await queue.enqueue('note', producer, options).then(
        (id) => acknowledged.push(id),
        (error: Error) => refused.push(error),
      )
      await new Promise((resolve) => setTimeout(resolve, 2))
    }
  })
  await eventually(() => expect(seen.size).toBeGreaterThan(200))
  for (slot of partitionSlots(name, 12).slice(0, 4)) {
    nextSlot = slot
    await fresh()
    await open()
    const names = (await tell(a.port, 'CLUSTER', 'GETKEYSINSLOT', slot, 2))
      .split(',')
      .filter((each) => each !== '')
    if (names.length > 0) await tell(a.port, 'MIGRATE', b.host, b.port, '', 0, 5_000, 'KEYS', ...names)
    const before = acknowledged.length
    await eventually(() => expect(acknowledged.length).toBeGreaterThan(before + 20))
    expect(await fix()).toMatchObject({ left: [], agreed: true, openSlots: 0 })
  }
  const before = acknowledged.length
  await eventually(() => expect(acknowledged.length).toBeGreaterThan(before + 100), 15_000)
  going = false
  await Promise.all(producing)
  await eventually(() => expect(acknowledged.filter((id) => !seen.has(id))).toEqual([]), 15_000)
  expect(refused).toEqual([])
  const { ready, active, dead } = await queue.depth()
  expect([ready, active, dead]).toEqual([{ high: 0, medium: 0, low: 0 }, 0, 0])
  await worker.stop()
  await queue.disconnect()
}, 60_000)

describe('what it will not touch', () => {
  it('slots whose owner is dead; a dead node, until it is named', async () => {
    nextSlot = 2_000
    await fresh()
    const replica = (await cluster.status()).nodes.find(({ masterId }) => masterId === a.id)
    if (!replica) throw new Error('no replica')
    await cluster.killNode(replica.port)
    await cluster.killNode(a.port)
    await setSlot(b, 'IMPORTING', a.id)
    const alive = [b.port, c.port]
    const before = await Promise.all(alive.map((port) => tell(port, 'CLUSTER', 'MYID')))
    const report = await fix({ agreeMs: 2_000 })
    expect(report.left.map(({ what }) => what)).toEqual([
      expect.stringContaining(`of 127.0.0.1:${a.port}, which does not answer`),
      `replica 127.0.0.1:${replica.port}, which does not answer`,
    ])
    expect(report.done).toEqual([])
    expect(await Promise.all(alive.map((port) => tell(port, 'CLUSTER', 'MYID')))).toEqual(before)
    expect(await tell(b.port, 'CLUSTER', 'NODES')).toContain(`[${slot}-<-${a.id}]`)

    await cluster.restartNode(a.port)
    await eventually(async () => expect((await cluster.status()).state).toBe('ok'), 15_000)
    expect((await fix()).left.map(({ what }) => what)).toEqual([
      `replica 127.0.0.1:${replica.port}, which does not answer`,
    ])
    const forgotten = await fix({ forget: [replica.id] })
    expect(forgotten).toMatchObject({ done: [{ kind: 'forget' }], left: [], agreed: true })
    expect((await cluster.status()).knownNodes).toBe(5)
  }, 60_000)
})

it('where nodes demand a password, keys are moved all the same, and no word of it is shown', async () => {
  const own = await ownCluster({ settings: { requirepass: 'geheim', masterauth: 'geheim' } })
  const [owner, other] = own.nodes.filter(({ role }) => role === 'master')
  if (!owner || !other) throw new Error('no masters')
  const [from, to] = await Promise.all(
    [owner, other].map((node) => NodeLink.open(node, { password: 'geheim', timeoutMs: 5_000 })),
  )
  if (!from || !to) throw new Error('no links')
  const name = `{${tagForSlot(7)}}`
  await from.text('SET', name, 'v')
  const [fromId, toId] = await Promise.all([from, to].map((link) => link.text('CLUSTER', 'MYID')))
  await to.text('CLUSTER', 'SETSLOT', 7, 'IMPORTING', fromId ?? '')
  await from.text('CLUSTER', 'SETSLOT', 7, 'MIGRATING', toId ?? '')
  await to.text('ASKING')
  await to.text('SET', `${name}2`, 'v')
  const args = ['cluster', 'fix', '--node', `127.0.0.1:${owner.port}`, '--yes', '--json']
  const denied = await shardq(args)
  expect(denied).toMatchObject({ code: 1, stderr: '' })
  expect(JSON.parse(denied.stdout).error).toMatchObject({ name: 'AuthenticationError' })
  const mended = await shardq(args, { env: { SHARDQ_REDIS_PASSWORD: 'geheim' } })
  expect(mended).toMatchObject({ code: 0, stderr: '' })
  expect(JSON.parse(mended.stdout)).toMatchObject({
    done: [{ kind: 'finish', slot: 7 }],
    left: [],
    openSlots: 0,
  })
  expect(mended.stdout).not.toContain('geheim')
  expect(await to.text('GET', name)).toBe('v')
  from.close()
  to.close()
}, 40_000)
