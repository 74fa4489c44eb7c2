import { expect, it } from 'vitest'
import { onOwnHosts } from '../../operations/hosts/run.js'

/** One confirmation may be under way when the network breaks. */
const MOST_MS = 1_500

it.each(['1-replica', '2-replicas', '3-replicas'])(
  'a partition with master, client and all but one of %s on the smaller side loses nothing that was acknowledged',
  async (shape) => {
    const said = await onOwnHosts(`partition-${shape}`)
    console.log(said)
    if (said.startsWith('NOT RUN')) return
    expect(said).toMatch(/acknowledged and lost: 0$/m)
    expect(Number(/cut-off side (-?\d+) ms/.exec(said)?.[1])).toBeLessThan(MOST_MS)
    // Both sides took part: tasks were acknowledged before and after.
    expect(Number(/acknowledged (\d+), rejected/.exec(said)?.[1])).toBeGreaterThan(100)
  },
)

it('and with one of two replicas asked to confirm, it does: the test can fail', async () => {
  const said = await onOwnHosts('partition-2-replicas-confirm-1')
  console.log(said)
  if (said.startsWith('NOT RUN')) return
  expect(Number(/acknowledged and lost: (\d+)/.exec(said)?.[1])).toBeGreaterThan(0)
  expect(Number(/cut-off side (-?\d+) ms/.exec(said)?.[1])).toBeGreaterThan(MOST_MS)
})
