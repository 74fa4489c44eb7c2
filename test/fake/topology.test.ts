import { afterEach, describe, expect, it, vi } from 'vitest'
import { Topology } from '../../src/connection/topology.js'
import { eventually } from '../helpers/behaviour/harness.js'
import { type FakeCluster, lineOf } from './fake-cluster.js'
import { fakeCluster, keyFor, queueOn } from './harness.js'

const topologies: Topology[] = []
afterEach(() => {
  for (const topology of topologies.splice(0)) topology.stop()
})

function topologyOf(cluster: FakeCluster, onNotice: (notice: Error) => void = () => {}): Topology {
  const socket = { username: undefined, password: undefined, tls: undefined, connectTimeoutMs: 150 }
  const options = {
    mode: 'cluster',
    seeds: cluster.seeds,
    natMap: {},
    socket,
    probeTimeoutMs: 150,
    onNotice,
  } as const
  const topology = new Topology(options)
  topologies.push(topology)
  return topology
}

const looks = (cluster: FakeCluster) =>
  cluster.nodes.flatMap((node) => node.received).filter(({ words }) => words[0] === 'CLUSTER').length

describe('a look at the topology', () => {
  it('is not put off by whoever asks for one again and again', async () => {
    const cluster = await fakeCluster()
    const topology = topologyOf(cluster)
    const asking = setInterval(() => topology.look(), 1)
    try {
      await eventually(() => expect(looks(cluster)).toBeGreaterThan(5))
    } finally {
      clearInterval(asking)
    }
  })

  it('at a node that refuses connections does not call for the next one at once', async () => {
    const cluster = await fakeCluster()
    const topology = topologyOf(cluster)
    topology.start()
    await eventually(() => expect(topology.masters().length).toBe(2))
    await cluster.a.stop()
    const before = looks(cluster)
    const startedMs = performance.now()
    await eventually(() => expect(looks(cluster)).toBeGreaterThan(before + 12))
    // In an alarm three nodes are asked every 100 ms.
    expect(performance.now() - startedMs).toBeGreaterThan(250)
  })

  it('at a node that was taken out of the cluster does not cost the others their replicas', async () => {
    const cluster = await fakeCluster()
    const outsider = await cluster.addNode()
    cluster.views.set(outsider, lineOf(outsider, true))
    const nodes = [...cluster.seeds, { host: '127.0.0.1', port: outsider.port }]
    const members = cluster.nodes.filter((node) => node !== outsider)
    for (const node of members)
      cluster.views.set(node, members.map((each) => lineOf(each, each === node)).join(''))
    const queue = await queueOn(cluster, { connection: { mode: 'cluster', nodes, commandTimeoutMs: 150 } })
    const states: string[] = []
    queue.on('shard', ({ state }) => states.push(state))
    const asked = () => outsider.received.filter(({ words }) => words[0] === 'CLUSTER').length
    const before = asked()
    await eventually(() => expect(asked()).toBeGreaterThan(before), 10_000)
    await queue.enqueue('note', 1, { partitionKey: keyFor(0) })
    expect(states).toEqual([])
  })
})

describe('whose word counts', () => {
  /** Slot 0, which A serves at epoch 1, and that both have seen B claim at epoch 2. */
  async function ownedByB() {
    const cluster = await fakeCluster()
    const topology = topologyOf(cluster)
    cluster.b.claim = { from: 0, to: 16_383, epoch: 2 }
    cluster.a.claim = undefined
    await ask(topology, cluster.a.port)
    expect(ownerPort(topology)).toBe(cluster.b.port)
    return { cluster, topology }
  }

  const ask = (topology: Topology, port: number) => topology.ask(topology.node({ host: '127.0.0.1', port }))
  const ownerPort = (topology: Topology, slot = 0) => topology.ownerOf(slot)?.address.port

  it('a master that returns with an old view is not believed', async () => {
    const { cluster, topology } = await ownedByB()
    cluster.a.claim = { from: 0, to: 8_191, epoch: 1 }
    await ask(topology, cluster.a.port)
    expect(ownerPort(topology)).toBe(cluster.b.port)
  })

  it('the owner itself is, when it says that another serves the slot, of whatever epoch', async () => {
    const { cluster, topology } = await ownedByB()
    cluster.a.claim = { from: 0, to: 8_191, epoch: 1 }
    cluster.b.claim = { from: 8_192, to: 16_383, epoch: 2 }
    await ask(topology, cluster.b.port)
    expect(ownerPort(topology)).toBe(cluster.a.port)
    expect(ownerPort(topology, 9_000)).toBe(cluster.b.port)
    // Others may not have heard of it, and do not change it back.
    const [, , replica] = cluster.nodes
    if (!replica) throw new Error('no replica')
    cluster.views.set(
      replica,
      cluster.nodes
        .map((each) =>
          lineOf(each, each === replica, each === cluster.b ? { from: 0, to: 16_383, epoch: 2 } : undefined),
        )
        .join(''),
    )
    await ask(topology, replica.port)
    expect(ownerPort(topology)).toBe(cluster.a.port)
    // It itself may.
    cluster.views.clear()
    cluster.b.claim = { from: 0, to: 16_383, epoch: 2 }
    cluster.a.claim = undefined
    await ask(topology, cluster.b.port)
    expect(ownerPort(topology)).toBe(cluster.b.port)
  })

  it('an owner that knows of nobody else for the slot keeps it', async () => {
    const { cluster, topology } = await ownedByB()
    cluster.b.claim = undefined
    await ask(topology, cluster.b.port)
    expect(ownerPort(topology)).toBe(cluster.b.port)
  })

  it('a MOVED of the owner has it asked at once', async () => {
    const { cluster, topology } = await ownedByB()
    cluster.b.received.length = 0
    topology.look(topology.ownerOf(0))
    await eventually(
      () => expect(cluster.b.received.map(({ words }) => words.join(' '))).toContain('CLUSTER NODES'),
      400,
    )
  })

  it('a node of another cluster at an address of ours is not believed, and nothing is sent to it', async () => {
    const cluster = await fakeCluster()
    const topology = topologyOf(cluster)
    await ask(topology, cluster.a.port)
    const { a } = cluster
    const foreign = lineOf(a, true, { from: 0, to: 16_383, epoch: 99 }).replaceAll(
      'a'.repeat(40),
      'f'.repeat(40),
    )
    cluster.views.set(a, foreign)
    const told = await ask(topology, a.port)
    expect(told).toMatchObject({ message: expect.stringContaining('another cluster') })
    expect(ownerPort(topology, 9_000)).toBe(cluster.b.port)
    expect(topology.ownerOf(0)?.up).toBe(false)
    const outcome = await topology.ownerOf(0)?.send('produce', 0, [['PING']], 150)
    expect(outcome).toMatchObject({ ok: false, fault: { kind: 'unreachable' } })
    // It is one of ours again.
    cluster.views.clear()
    expect(await ask(topology, a.port)).toBe(true)
    expect(topology.ownerOf(0)?.up).toBe(true)
  })

  it('a node with a new id is believed when one that is known lists it', async () => {
    const cluster = await fakeCluster()
    const topology = topologyOf(cluster)
    await ask(topology, cluster.a.port)
    const renew = (view: string) => view.replaceAll('a'.repeat(40), 'f'.repeat(40))
    cluster.views.set(cluster.a, renew(cluster.nodesAsSeenBy(cluster.a)))
    expect(await ask(topology, cluster.a.port)).toBeInstanceOf(Error)
    cluster.views.set(cluster.b, renew(cluster.nodesAsSeenBy(cluster.b)))
    expect(await ask(topology, cluster.b.port)).toBe(true)
    expect(await ask(topology, cluster.a.port)).toBe(true)
  })

  it('another cluster at the same addresses takes the place of the one before when nobody of that answers for 10 s', async () => {
    const cluster = await fakeCluster()
    const notices: Error[] = []
    const topology = topologyOf(cluster, (notice) => notices.push(notice))
    await ask(topology, cluster.a.port)
    expect(ownerPort(topology)).toBe(cluster.a.port)
    try {
      // The same servers with other ids, roles the other way round, and epochs that begin again.
      const { a, b } = cluster
      const lines = (myself: typeof a) =>
        [
          lineOf(a, myself === a, { from: 8_192, to: 16_383, epoch: 0 }),
          lineOf(b, myself === b, { from: 0, to: 8_191, epoch: 0 }),
        ]
          .join('')
          .replaceAll('a'.repeat(40), 'e'.repeat(40))
          .replaceAll('b'.repeat(40), 'f'.repeat(40))
      cluster.views.set(a, lines(a)).set(b, lines(b))
      const nowMs = performance.now()
      const clock = vi.spyOn(performance, 'now')
      clock.mockImplementation(() => nowMs + 9_000)
      expect(await ask(topology, a.port)).toBeInstanceOf(Error)
      expect(notices).toEqual([])
      clock.mockImplementation(() => nowMs + 11_000)
      expect(await ask(topology, b.port)).toBe(true)
      clock.mockRestore()
      expect(ownerPort(topology)).toBe(b.port)
      expect(ownerPort(topology, 9_000)).toBe(a.port)
      expect(notices).toMatchObject([{ name: 'ClusterReplacedError' }])
      expect(await ask(topology, a.port)).toBe(true)
    } finally {
      vi.restoreAllMocks()
    }
  })
})
