import { expect, it } from 'vitest'
import { PlanChangedError } from '../../src/cluster/errors.js'
import { planFix, planRebalance } from '../../src/cluster/index.js'
import type { Address } from '../../src/cluster/link.js'
import { tagForSlot } from '../../src/keys/slots.js'
import { eventually } from '../helpers/behaviour/harness.js'
import { tell } from '../helpers/nodes.js'
import { ownCluster } from '../helpers/own-cluster.js'

const FIRST = 100
const COUNT = 60

/**
 * What a kill between two round trips of a move leaves: slots that nobody owns. One operator has the plan on their screen. Another mends
 * it, shares the slots out again, and the application writes into them. Then the first one agrees to the plan of before: it claimed the
 * slots for another node, and the keys were dropped by their owner.
 */
it('a plan that has gone stale at the prompt deletes no keys', async () => {
  const cluster = await ownCluster({ replicasPerMaster: 0 })
  const { seeds } = cluster
  const { nodes } = await cluster.status()
  const masters = nodes.filter(({ role }) => role === 'master')
  for (const { port } of masters) await tell(port, 'CLUSTER', 'DELSLOTSRANGE', FIRST, FIRST + COUNT - 1)
  const agreed = await planFix(seeds)
  expect(agreed.steps).toMatchObject([{ kind: 'assign', keys: 0 }])
  const [step] = agreed.steps
  if (step?.kind !== 'assign') throw new Error('no slots to assign')

  const other = await planFix(seeds)
  expect(await other.run()).toMatchObject({ left: [], agreed: true })
  await (await planRebalance(seeds, { weights: { [step.to.id]: 0.001 } })).run()
  await eventually(async () => expect((await cluster.status()).state).toBe('ok'))
  const owners = await ownersOf(seeds)
  const written: [number, string][] = []
  for (let slot = FIRST; slot < FIRST + COUNT; slot++) {
    const port = owners.get(slot)
    if (port === undefined) throw new Error(`slot ${slot} is nobody's`)
    const key = `{${tagForSlot(slot)}}user`
    await tell(port, 'SET', key, `value ${slot}`)
    written.push([slot, key])
  }

  // Everything that was to be done has been done by somebody else: nothing is left to do.
  expect(await agreed.run()).toMatchObject({ done: [], left: [], agreed: true })
  const after = await ownersOf(seeds)
  for (const [slot, key] of written)
    expect(await tell(after.get(slot) ?? 0, 'GET', key)).toBe(`value ${slot}`)
})

it('a plan is refused when more is to be done by now, and nothing of it is done', async () => {
  const cluster = await ownCluster({ replicasPerMaster: 0 })
  const { seeds } = cluster
  const { nodes } = await cluster.status()
  const [a, b] = nodes.filter(({ role }) => role === 'master')
  if (!a || !b) throw new Error('no masters')
  const [first] = a.slots[0] ?? [0]
  await tell(b.port, 'CLUSTER', 'SETSLOT', first, 'IMPORTING', a.id)
  const agreed = await planFix(seeds)
  expect(agreed.steps).toMatchObject([{ kind: 'close', slot: first }])
  await tell(b.port, 'CLUSTER', 'SETSLOT', first + 1, 'IMPORTING', a.id)
  const refused = agreed.run()
  await expect(refused).rejects.toThrow(PlanChangedError)
  await expect(refused).rejects.toThrow(`slot ${first + 1} is open`)
  await expect(refused).rejects.toThrow('shardq cluster fix')
  expect(await tell(b.port, 'CLUSTER', 'NODES')).toContain(`[${first}-<-${a.id}]`)
})

async function ownersOf(seeds: readonly Address[]): Promise<Map<number, number>> {
  const owners = new Map<number, number>()
  for (const { port } of seeds) {
    const own = (await tell(port, 'CLUSTER', 'NODES')).split('\n').find((line) => line.includes('myself'))
    for (const range of own?.split(' ').slice(8) ?? []) {
      const [from, to = from] = range.split('-').map(Number)
      for (let slot = from ?? 0; slot <= (to ?? -1); slot++) owners.set(slot, port)
    }
  }
  return owners
}
