import { execFileSync } from 'node:child_process'
import { afterAll, beforeAll, expect, it } from 'vitest'
import {
  type Address,
  addNodes,
  CreateRefusedError,
  type LocalCluster,
  NodeRefusedError,
  nameOf,
  OnlyLibrariesError,
  planCreate,
  planRebalance,
  planRemoval,
} from '../../../src/cluster/index.js'
import { bareServers } from '../../helpers/bare-servers.js'
import { shardq } from '../../helpers/cli.js'
import { tell } from '../../helpers/nodes.js'
import { openCluster } from '../../helpers/own-cluster.js'
import { until } from '../../helpers/until.js'

/**
 * Libraries of functions belong to no slot, so nothing moves them. A master that lost its last slot, or a server that was added as a replica, copied its
 * master's data over its own, and what only it had was gone from the whole cluster, with exit code 0.
 */
let cluster: LocalCluster
let dispose: () => Promise<void>
let last: LocalCluster['seeds'][number]

const library = (name: string, answer = name) =>
  `#!lua name=${name}\nredis.register_function('${name}_f', function() return '${answer}' end)`
const load = (port: number, name: string) => tell(port, 'FUNCTION', 'LOAD', library(name))
const listed = (port: number) => tell(port, 'FUNCTION', 'LIST')
const newServer = async () => {
  const [node] = await bareServers(1, { settings: { 'cluster-node-timeout': '1000' } })
  return node as Address
}
const failing = (doing: Promise<unknown>) =>
  doing.then(
    () => {
      throw new Error('it was not refused')
    },
    (error: Error) => error,
  )

beforeAll(async () => {
  ;({ cluster, dispose } = await openCluster({ masters: 4, replicasPerMaster: 0 }))
  last = cluster.nodes[3] as typeof last
  for (const { port } of cluster.nodes) await load(port, 'common')
})
afterAll(() => dispose())

it('a server with functions that the cluster has not is added as a master, not as a replica', async () => {
  const node = await newServer()
  await load(node.port, 'common')
  await load(node.port, 'mine')
  const problem = await failing(addNodes(cluster.seeds, [{ ...node, replicaOf: 'auto' }]))
  expect(problem).toBeInstanceOf(NodeRefusedError)
  expect(problem.message).toMatch(/library of functions mine just so, .*FUNCTION DUMP.*FUNCTION DELETE mine/)
  expect(await tell(node.port, 'CLUSTER', 'INFO')).toContain('cluster_known_nodes:1')

  await addNodes(cluster.seeds, [node])
  expect(await listed(node.port)).toContain('mine_f')
  // It owns no slot, and would leave with what only it has.
  const removing = await failing(planRemoval(cluster.seeds, nameOf(node)))
  expect(removing.message).toContain('no other master has the library of functions mine just so')
  expect(removing.message).not.toContain('common')
  // Nor may it become a replica after all.
  const following = await failing(addNodes(cluster.seeds, [{ ...node, replicaOf: 'auto' }]))
  expect(following.message).toContain('library of functions mine just so')

  await tell(node.port, 'FUNCTION', 'DELETE', 'mine')
  await addNodes(cluster.seeds, [{ ...node, replicaOf: 'auto' }])
  expect(await listed(node.port)).toContain('common_f')
  const seed = nameOf(cluster.seeds[0] as Address)
  const args = ['cluster', 'remove-node', nameOf(node), '--node', seed, '--yes', '--leave-unprotected']
  const { code, stdout } = await shardq(args)
  expect(code).toBe(0)
  expect(stdout).toContain('has no keys, and knows nobody any more')
})

it('servers do not become replicas of a new cluster with functions that none of its masters has', async () => {
  const nodes = await bareServers(6)
  const { nodes: planned } = await planCreate({ nodes })
  const replica = planned.find(({ role }) => role === 'replica')
  const master = planned.find(({ role }) => role === 'master')
  if (!replica || !master) throw new Error('no roles')
  await load(replica.port, 'mine')
  const problem = await failing(planCreate({ nodes }))
  expect(problem).toBeInstanceOf(CreateRefusedError)
  expect(problem.message).toContain(
    `${replica.name} is to be a replica, and would lose the library of functions mine`,
  )
  await load(master.port, 'mine')
  await planCreate({ nodes })
})

it('a master is not emptied of functions that only it has, until another has them', async () => {
  const weights = { [nameOf(last)]: 0 }
  await load(last.port, 'only')
  const before = (await cluster.status()).nodes.map(({ slots }) => slots)
  const problem = await failing(planRebalance(cluster.seeds, { weights }))
  expect(problem).toBeInstanceOf(OnlyLibrariesError)
  expect(problem).toMatchObject({ node: nameOf(last), notDone: 'emptied', libraries: ['only'] })
  expect((await failing(planRemoval(cluster.seeds, nameOf(last)))).message).toContain('functions only')
  expect((await cluster.status()).nodes.map(({ slots }) => slots)).toEqual(before)

  // Two that are emptied at once do not keep it for each other.
  const [other] = cluster.nodes
  if (!other) throw new Error('no node')
  await load(other.port, 'only')
  const both = { ...weights, [nameOf(other)]: 0 }
  expect((await failing(planRebalance(cluster.seeds, { weights: both }))).message).toContain('functions only')
  await planRebalance(cluster.seeds, { weights })

  // Other code under the same name is another library.
  await tell(other.port, 'FUNCTION', 'LOAD', 'REPLACE', library('only', 'another'))
  const differing = await failing(planRebalance(cluster.seeds, { weights }))
  expect(differing.message).toContain(`(other code on ${nameOf(other)})`)
  // What is given to each with REPLACE goes over the other code, too.
  expect(differing.message).toContain('see which is right: ')
  expect(differing.message).not.toMatch(/each: .*REPLACE/)
  await tell(other.port, 'FUNCTION', 'DELETE', 'only')

  // Whoever may not see them is told nothing of them.
  for (const { port } of cluster.nodes)
    await tell(port, 'ACL', 'SETUSER', 'blind', 'on', '>blind-password', '~*', '&*', '+@all', '-function')
  await planRebalance(cluster.seeds, { weights, username: 'blind', password: 'blind-password' })

  const command = /each: (redis-cli .* REPLACE) - or/.exec(problem.message)?.[1] ?? ''
  execFileSync('sh', ['-c', command])
  await (await planRebalance(cluster.seeds, { weights })).run()
  await until(
    'it is a replica',
    () => tell(last.port, 'ROLE'),
    (role) => role.startsWith('slave'),
  )
  const having = await Promise.all(
    cluster.nodes.map(async ({ port }) => (await listed(port)).includes('only_f')),
  )
  expect(having.slice(0, 3).filter(Boolean)).toHaveLength(1)
})

it('masters that have no slots yet, and are about to get all, count as those that have the library', async () => {
  const node = await newServer()
  await addNodes(cluster.seeds, [node])
  const masters = (await cluster.status()).nodes.filter(({ slots }) => slots.length > 0)
  await tell(node.port, 'FUNCTION', 'LOAD', 'REPLACE', library('only'))
  const weights = Object.fromEntries(masters.map((each) => [nameOf(each), 0]))
  const options = { weights, leaveUnprotected: true }
  const report = await (await planRebalance(cluster.seeds, options)).run()
  expect(report.left).toEqual([])
  expect(await listed(node.port)).toMatch(/common_f/)
}, 60_000)
