import { expect, it, vi } from 'vitest'
import { printRebalanced } from '../../../src/cli/balance-report.js'
import { Output } from '../../../src/cli/output.js'
import { nameOf, planFix, planRebalance, planRemoval, type UpOptions } from '../../../src/cluster/index.js'
import { moveSlots } from '../../../src/cluster/move/index.js'
import { tagForSlot } from '../../../src/keys/slots.js'
import { FaultyNodes } from '../../helpers/faulty-nodes.js'
import { tell, tellAll } from '../../helpers/nodes.js'
import { ownCluster } from '../../helpers/own-cluster.js'
import { readable } from '../../helpers/plain-keys.js'

/** A slot of one master with so many keys of an application, and another master. */
async function scene(count: number, options: UpOptions = {}) {
  const cluster = await ownCluster(options)
  const masters = (await cluster.status()).nodes
    .filter(({ role }) => role === 'master')
    .map((node) => ({ ...node, name: nameOf(node) }))
  const [from, to] = masters
  const slot = from?.slots[0]?.[0]
  if (!from || !to || slot === undefined) throw new Error('no masters')
  const names = Array.from({ length: count }, (_, n) => `{${tagForSlot(slot)}}${n}`)
  await tellAll(
    from.port,
    names.map((name) => ['SET', name, 'v']),
  )
  return { cluster, masters, from, to, slot, names }
}

/** It said that nothing is half way, and left the slot open with keys at both ends. */
it('a slot that a rebalance was stopped in the middle of is told, and the same command goes on', async () => {
  const { cluster, from, slot, names } = await scene(300)
  const options = { weights: { [from.id]: 0 } }
  const stop = new AbortController()
  const plan = await planRebalance(cluster.seeds, {
    ...options,
    signal: stop.signal,
    onProgress: ({ keys }) => void (keys >= 100 && stop.abort()),
  })
  const report = await plan.run()
  expect(report.interrupted).toBe(true)
  expect(report.left).toMatchObject([
    {
      what: expect.stringContaining(`slot ${slot} is half way`),
      remedy: expect.stringContaining('cluster fix'),
    },
  ])
  expect((await planFix(cluster.seeds)).steps).toMatchObject([{ kind: 'finish', slot }])
  const said = saidOf(() => printRebalanced(report, new Output(false)))
  expect(said).toContain(`slot ${slot} is half way`)
  expect(said).not.toContain('nothing is half way')

  expect(await (await planRebalance(cluster.seeds, options)).run()).toMatchObject({
    left: [],
    interrupted: false,
  })
  expect(await readable(cluster, names)).toBe(names.length)
}, 60_000)

it('a removal that was stopped in the middle of a slot does not say that it has ended what it had begun', async () => {
  const { cluster, from, slot } = await scene(300, { masters: 4, replicasPerMaster: 0 })
  const stop = new AbortController()
  const plan = await planRemoval(cluster.seeds, nameOf(from), {
    signal: stop.signal,
    onProgress: ({ keys }: { keys: number }) => void (keys >= 100 && stop.abort()),
  })
  await expect(plan.run()).rejects.toThrow(new RegExp(`slot ${slot} is half way.*cluster fix`))
}, 60_000)

it('a slot of which no key has moved yet is taken back', async () => {
  const { cluster, masters, from, to, slot, names } = await scene(300)
  const stop = new AbortController()
  const nodes = new FaultyNodes(
    {},
    {
      after: async ({ text }) => {
        if (text === `CLUSTER SETSLOT ${slot} MIGRATING ${to.id}`) stop.abort()
      },
    },
  )
  expect(await moveSlots(nodes, { slots: [slot], from, to }, masters, { signal: stop.signal })).toBe(
    'interrupted',
  )
  await nodes.close()
  expect((await planFix(cluster.seeds)).steps).toEqual([])
  expect(await tell(from.port, 'CLUSTER', 'COUNTKEYSINSLOT', slot)).toBe(`${names.length}`)
}, 60_000)

function saidOf(print: () => void): string {
  const write = vi.spyOn(process.stdout, 'write').mockImplementation(() => true)
  try {
    print()
    return write.mock.calls.map(([text]) => String(text)).join('')
  } finally {
    write.mockRestore()
  }
}
