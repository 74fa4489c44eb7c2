import { describe, expect, inject, test } from 'vitest'
import { type Address, freePorts, inspect, NodeUnreachableError } from '../../src/cluster/index.js'
import { AuthenticationError, WrongModeError } from '../../src/errors.js'
import { ownCluster } from '../helpers/own-cluster.js'

describe('inspect', () => {
  const seeds = inject('cluster').nodes

  test('every node reports the whole cluster, healthy, with the same roles and slots', async () => {
    const views = await Promise.all(seeds.map((seed) => inspect(seed)))
    for (const view of views) {
      expect(view).toMatchObject({
        state: 'ok',
        slotsAssigned: 16_384,
        slotsOk: 16_384,
        knownNodes: 6,
        size: 3,
      })
      expect(view.nodes.map(({ port }) => port).sort()).toEqual(seeds.map(({ port }) => port).sort())
      const masters = view.nodes.filter(({ role }) => role === 'master')
      const replicas = view.nodes.filter(({ role }) => role === 'replica')
      expect(masters.flatMap(({ slots }) => slots).sort(([a], [b]) => a - b)).toEqual([
        [0, 5460],
        [5461, 10_922],
        [10_923, 16_383],
      ])
      expect(new Set(replicas.map(({ masterId }) => masterId))).toEqual(new Set(masters.map(({ id }) => id)))
    }
  })

  test('a single server is named as such', async () => {
    const port = Number(new URL(inject('single').url).port)
    await expect(inspect({ host: '127.0.0.1', port })).rejects.toThrow(WrongModeError)
  })

  test('an address where nothing listens is an error within the time-out', async () => {
    const [port = 0] = await freePorts(1)
    const asked = inspect({ host: '127.0.0.1', port }, { timeoutMs: 500 })
    await expect(asked).rejects.toThrow(NodeUnreachableError)
    await expect(asked).rejects.toThrow(`127.0.0.1:${port}`)
  })
})

test('a cluster with a password forms, its replicas log in, and a wrong password is named', async () => {
  const cluster = await ownCluster({ settings: { requirepass: 'secret' } })
  expect((await cluster.status()).state).toBe('ok')
  const [seed] = cluster.seeds
  for (const options of [{}, { password: 'wrong' }]) {
    const asked = inspect(seed as Address, options)
    await expect(asked).rejects.toThrow(AuthenticationError)
    await expect(asked).rejects.not.toThrow('wrong')
  }
})
