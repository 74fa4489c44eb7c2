import { expect, it } from 'vitest'
import { planFix } from '../../../src/cluster/index.js'
import { NodeLink } from '../../../src/cluster/link.js'
import { tell } from '../../helpers/nodes.js'
import { ownCluster } from '../../helpers/own-cluster.js'

/**
 * A master that takes no more clients does not answer a tool, and serves its programs. It was to be forgotten, and its slots were to go to
 * others: only a repair that failed after 20 s stood between that and the loss of a third of all keys.
 */
it('a master that only takes no more clients is not forgotten, and the plan says that it lives', async () => {
  const cluster = await ownCluster({ replicasPerMaster: 0 })
  const [seed, full] = cluster.seeds
  if (!seed || !full) throw new Error('no nodes')
  const id = await tell(full.port, 'CLUSTER', 'MYID')
  const open = await NodeLink.open(full)
  try {
    await open.text('CONFIG', 'SET', 'maxclients', 1)
    for (const name of [id, `127.0.0.1:${full.port}`])
      await expect(planFix([seed], { forget: [name], agreeMs: 500 })).rejects.toMatchObject({
        name: 'InvalidOptionError',
        message: expect.stringMatching(/lives: .* hears from it.*max number of clients.*maxclients/),
      })
    const { steps } = await planFix([seed], { agreeMs: 500 })
    expect(steps).toEqual([])
  } finally {
    await open.text('CONFIG', 'SET', 'maxclients', 1_000)
    open.close()
  }
})
