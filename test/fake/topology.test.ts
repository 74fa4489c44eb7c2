import { afterEach, describe, expect, it } from 'vitest'
import { Topology } from '../../src/connection/topology.js'
import { eventually } from '../helpers/behaviour/harness.js'
import { type FakeCluster, lineOf } from './fake-cluster.js'
import { fakeCluster, keyFor, queueOn } from './harness.js'

const topologies: Topology[] = []
afterEach(() => {
  for (const topology of topologies.splice(0)) topology.stop()
})

function topologyOf(cluster: FakeCluster): Topology {
  const socket = { username: undefined, password: undefined, tls: undefined, connectTimeoutMs: 150 }
  const options = { mode: 'cluster', seeds: cluster.seeds, natMap: {}, socket, probeTimeoutMs: 150 } as const
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
