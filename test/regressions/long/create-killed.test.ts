import { expect, it } from 'vitest'
import { isOneCluster } from '../../../src/cluster/index.js'
import { withLink } from '../../../src/cluster/link.js'
import { bareServers } from '../../helpers/bare-servers.js'
import { callsOf, killAt } from '../../operations/faults/break-off.js'
import { changesSomething } from '../../operations/faults/calls.js'

it('killed before any kind of call, it leaves the settings of servers as they were', async () => {
  const nodes = await bareServers(3, { settings: { 'cluster-node-timeout': '1400' } })
  const settings = () =>
    Promise.all(nodes.map((node) => withLink(node, {}, (link) => link.text('CONFIG', 'GET', 'cluster-*'))))
  const before = await settings()
  const create = { operation: 'create', options: { nodes, replicasPerMaster: 0, reset: true } } as const
  const kinds = (await callsOf(create, nodes)).filter(changesSomething).map((kind) => kind.replace('* ', ''))
  expect(kinds).toContain('CLUSTER MEET')
  for (const kind of new Set(kinds)) {
    await killAt(kind, create, nodes)
    expect(await settings(), kind).toEqual(before)
  }
  // The last of them takes away what it has written to see whether it can.
  expect(await isOneCluster(nodes)).toBe(true)
}, 120_000)
