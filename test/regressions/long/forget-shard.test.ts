import { expect, it } from 'vitest'
import { planFix } from '../../../src/cluster/index.js'
import { InvalidOptionError } from '../../../src/errors.js'
import { tagForSlot } from '../../../src/keys/slots.js'
import { eventually } from '../../helpers/behaviour/harness.js'
import { tell } from '../../helpers/nodes.js'
import { ownCluster } from '../../helpers/own-cluster.js'

/**
 * The host of a master and of its replica goes down, and only the master is lost. `fix --forget` of it gave its slots to others, without keys and
 * with the latest epoch, and advised to start the replica: which followed one of those, and copied its nothing over all keys of the shard.
 */
it('a master is not given up as long as its replica may have its data, and what is advised instead brings all keys back', async () => {
  const cluster = await ownCluster({ masters: 4 })
  const { nodes } = await cluster.status()
  const [first, second, third] = nodes
    .filter(({ role }) => role === 'master')
    .map((master) => ({ master, replica: nodes.find(({ masterId }) => masterId === master.id) }))
  if (!first?.replica || !second?.replica || !third) throw new Error('no shards')
  const lost = { master: first.master, replica: first.replica }
  const key = `{${tagForSlot(lost.master.slots[0]?.[0] ?? -1)}}key`
  await tell(lost.master.port, 'SET', key, 'the only one')
  expect(await tell(lost.master.port, 'WAIT', 1, 5_000)).toBe('1')
  const seeds = cluster.seeds.filter(({ port }) => ![lost.master.port, lost.replica.port].includes(port))
  await cluster.killNode(lost.replica.port)
  await cluster.killNode(lost.master.port)
  const seed = third.master
  const untilFailed = (ids: readonly string[]) =>
    eventually(async () => {
      const view = (await tell(seed.port, 'CLUSTER', 'NODES')).split('\n')
      for (const id of ids) expect(view.find((line) => line.startsWith(id))).toMatch(/ \S*,fail /)
    }, 15_000)
  await untilFailed([lost.master.id, lost.replica.id])

  const forget = (...ids: string[]) => planFix(seeds, { forget: ids, agreeMs: 2_000, onUnlocked: () => {} })
  const refused = await forget(lost.master.id)
    .then((plan) => plan.run())
    .catch((error: Error) => error)
  expect(refused).toBeInstanceOf(InvalidOptionError)
  expect(String(refused)).toContain(
    `start it, and let it take over: redis-cli -h 127.0.0.1 -p ${lost.replica.port} CLUSTER FAILOVER TAKEOVER`,
  )
  await cluster.restartNode(lost.replica.port)
  await tell(lost.replica.port, 'CLUSTER', 'FAILOVER', 'TAKEOVER')
  await eventually(async () => {
    expect(await tell(seed.port, 'CLUSTER', 'INFO')).toContain('cluster_state:ok')
    expect(await tell(lost.replica.port, 'GET', key)).toBe('the only one')
  }, 15_000)
  expect(await (await forget(lost.master.id)).run()).toMatchObject({ done: [{ kind: 'forget' }], left: [] })

  // Both are named: they are gone for good.
  const gone = [second.master, second.replica]
  for (const { port } of gone.reverse()) await cluster.killNode(port)
  await untilFailed(gone.map(({ id }) => id))
  const ports = gone.map(({ port }) => port)
  const others = seeds.filter(({ port }) => !ports.includes(port))
  const given = await planFix(others, {
    forget: gone.map(({ id }) => id),
    agreeMs: 2_000,
    onUnlocked: () => {},
  })
  expect(await given.run()).toMatchObject({ left: [], agreed: true })
}, 90_000)
