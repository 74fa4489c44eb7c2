import { expect, it } from 'vitest'
import { nameOf, planCreate } from '../../../src/cluster/index.js'
import { bareServers } from '../../helpers/bare-servers.js'
import { slowDial } from '../../helpers/slow-dial.js'

/** Longer in all than a process may stand still while it creates a cluster, and each well within its time-out. */
const DELAY_MS = 600
const PASSWORD = 'of-these-servers'

it('a network on which it takes long to connect to all servers is not taken for a pause of the process', async () => {
  const nodes = await bareServers(6, { password: PASSWORD, lines: [`masterauth ${PASSWORD}`] })
  const slow = await Promise.all(nodes.map((node) => slowDial(node, DELAY_MS)))
  const natMap = Object.fromEntries(nodes.map((node, i) => [nameOf(node), slow[i] ?? node]))
  const plan = await planCreate({ nodes, natMap, password: PASSWORD })
  const { status } = await plan.run()
  expect(status.nodes).toHaveLength(6)
}, 60_000)
