import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it } from 'vitest'
import { ownCluster } from '../helpers/own-cluster.js'
import { steadyLoad } from '../helpers/steady-load.js'

it('keeps account of every task, when nothing happens', async () => {
  const cluster = await ownCluster()
  const load = await steadyLoad({ mode: 'cluster', nodes: cluster.seeds })
  await sleep(2_000)
  const calm = await load.phase('end')
  const report = await load.stop()
  console.log(calm, report)
  expect(calm.enqueued).toBeGreaterThan(5_000)
  expect(report).toMatchObject({ rejected: 0, lost: 0, repeated: 0 })
})
