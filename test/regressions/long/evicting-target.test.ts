import { expect, it, onTestFinished } from 'vitest'
import { planRebalance } from '../../../src/cluster/index.js'
import { parseFields } from '../../../src/cluster/replies.js'
import { slotsIn } from '../../../src/cluster/slots.js'
import { tagForSlot } from '../../../src/keys/slots.js'
import { tell } from '../../helpers/nodes.js'
import { openCluster } from '../../helpers/own-cluster.js'
import { mastersOf } from '../../operations/common/strays.js'

const MB = 1024 * 1024
const KEYS = 3_000

/**
 * MIGRATE removes at its source what the target has taken. A target with little memory and a policy other than noeviction threw away what
 * had just come: of 3,016 keys 1,055 were gone, and the rebalance said that all was balanced.
 */
it.each(['noeviction', 'allkeys-lru'])(
  'a rebalance onto a full node with %s: no key is lost, and it says what is missing',
  async (policy) => {
    const { cluster, dispose } = await openCluster()
    onTestFinished(dispose)
    const [from, to] = await mastersOf(cluster)
    if (!from || !to) throw new Error('no masters')
    const slots = slotsIn(from.slots)
    for (let i = 0; i < KEYS; i++)
      await tell(from.port, 'SET', `{${tagForSlot(slots[i] ?? 0)}}key`, 'x'.repeat(3_000))
    const used = Number(parseFields(await tell(to.port, 'INFO', 'memory')).get('used_memory'))
    await tell(to.port, 'CONFIG', 'SET', 'maxmemory-policy', policy)
    await tell(to.port, 'CONFIG', 'SET', 'maxmemory', used + MB)
    const count = async () => {
      const sizes = (await mastersOf(cluster)).map(async ({ port }) => Number(await tell(port, 'DBSIZE')))
      return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0)
    }
    const before = await count()
    const plan = await planRebalance(cluster.seeds, { weights: { [from.id]: 0.1 } })
    const ended = await plan.run({ evenIfChanged: true }).catch((error: Error) => error)
    expect(JSON.stringify(ended instanceof Error ? ended.message : ended.left)).toMatch(
      policy === 'noeviction' ? /more memory \(maxmemory\)/ : /would throw keys away.*noeviction/,
    )
    expect(await count()).toBe(before)
    await tell(to.port, 'CONFIG', 'SET', 'maxmemory', 0)
    const again = await planRebalance(cluster.seeds, { weights: { [from.id]: 0.1 } })
    expect((await again.run({ evenIfChanged: true })).left).toEqual([])
    expect(await count()).toBe(before)
  },
  120_000,
)
