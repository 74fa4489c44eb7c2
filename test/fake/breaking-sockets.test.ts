import { expect, it } from 'vitest'
import { until } from '../helpers/until.js'
import { fakeCluster, queueOn } from './harness.js'

const OVER = ['', 0, -1, 0, -1] as const
const EMPTY = ['', 0, -1, -1, -1] as const

it('a lease that has run out ends although all sockets break again and again', async () => {
  const cluster = await fakeCluster()
  let recovered = 0
  cluster.a.script = ({ script }) => {
    if (script === 'tend') return [...(recovered > 0 ? [EMPTY, [], 0] : [OVER, ['gone-1'], 0]), Date.now()]
    if (script !== 'recover') return undefined
    recovered++
    return ['recovered', 1, 0, 0]
  }
  // From the beginning on, or the first look would come before the first break.
  const queue = await queueOn(cluster)
  const breaking = setInterval(() => cluster.a.hangUp(), 400)
  cluster.a.hangUp()
  await new Promise((resolve) => setTimeout(resolve, 50))
  const taking = queue.dequeue({ blockMs: 10_000 })
  try {
    await new Promise((resolve) => setTimeout(resolve, 500))
    recovered = 0
    await until(
      'it was recovered',
      async () => recovered,
      (count) => count > 0,
      8_000,
    )
  } finally {
    clearInterval(breaking)
  }
  await queue.disconnect()
  expect(await taking).toEqual([])
})
