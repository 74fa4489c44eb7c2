import { expect, inject, test } from 'vitest'
import { freePorts, Observer } from '../../src/cluster/index.js'
import { ownCluster } from '../helpers/own-cluster.js'

const seed = () => inject('cluster').nodes.slice(0, 1)

test('from one seed every node is found, and says what it knows', async () => {
  const observer = new Observer(seed(), { config: true })
  try {
    const { nodes } = await observer.observe()
    expect(nodes.map(({ address }) => address.port)).toEqual(
      inject('cluster')
        .nodes.map(({ port }) => port)
        .sort((a, b) => a - b),
    )
    for (const node of nodes) {
      if (!node.up) throw node.error
      expect(node.view).toHaveLength(6)
      expect(node.clusterInfo.get('cluster_state')).toBe('ok')
      expect(node.info.get('redis_mode') ?? node.info.get('server_mode')).toBe('cluster')
      expect(node.config?.get('maxmemory-policy')).toBe('noeviction')
    }
  } finally {
    observer.close()
  }
})

test('a seed that goes by another name than in its cluster is there once', async () => {
  const observer = new Observer(seed().map(({ port }) => ({ host: 'localhost', port })))
  try {
    for (let time = 0; time < 2; time++) {
      const { nodes } = await observer.observe()
      expect(nodes.map(({ address }) => address.host)).toEqual(new Array(6).fill('127.0.0.1'))
    }
  } finally {
    observer.close()
  }
})

test('a single server is observed too', async () => {
  const { hostname, port } = new URL(inject('single').url)
  const observer = new Observer([{ host: hostname, port: Number(port) }])
  try {
    const { nodes } = await observer.observe()
    expect(nodes).toMatchObject([{ up: true, view: [] }])
  } finally {
    observer.close()
  }
})

test('a seed that is not there is one that is down', async () => {
  const [port = 0] = await freePorts(1)
  const observer = new Observer([{ host: '127.0.0.1', port }, ...seed()])
  try {
    const { nodes } = await observer.observe()
    expect(nodes).toHaveLength(7)
    expect(nodes.filter(({ up }) => !up)).toMatchObject([{ address: { port } }])
  } finally {
    observer.close()
  }
})

test('a node that freezes is down within the time-out, and up again when it goes on', async () => {
  const cluster = await ownCluster()
  const observer = new Observer(cluster.seeds, { timeoutMs: 300 })
  try {
    await observer.observe()
    const [node] = cluster.nodes
    if (!node) throw new Error('a cluster without nodes')
    process.kill(node.pid, 'SIGSTOP')
    try {
      const startedMs = performance.now()
      const { nodes } = await observer.observe()
      expect(performance.now() - startedMs).toBeLessThan(3_000)
      expect(nodes.filter(({ up }) => !up)).toMatchObject([{ address: { port: node.port } }])
    } finally {
      process.kill(node.pid, 'SIGCONT')
    }
    const { nodes } = await observer.observe()
    expect(nodes.every(({ up }) => up)).toBe(true)
  } finally {
    observer.close()
  }
})
