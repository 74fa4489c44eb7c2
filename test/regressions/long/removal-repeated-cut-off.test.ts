import { expect, it, onTestFinished } from 'vitest'
import { Nodes } from '../../../src/cluster/move/index.js'
import { forgetKeys } from '../../../src/cluster/move/leave.js'
import { slotsIn } from '../../../src/cluster/slots.js'
import { tagForSlot } from '../../../src/keys/slots.js'
import { tell } from '../../helpers/nodes.js'
import { openCluster } from '../../helpers/own-cluster.js'
import { mastersOf } from '../../operations/common/strays.js'

class Ended extends Error {}

/** A tool that ends before its call number `at` to a node. */
class EndingNodes extends Nodes {
  #calls = 0

  constructor(private readonly at: number) {
    super({})
  }

  override async link(...args: Parameters<Nodes['link']>) {
    const link = await super.link(...args)
    const call = <Of extends 'text' | 'bytes'>(how: Of) =>
      (async (...command: Parameters<(typeof link)[Of]>) => {
        this.#calls++
        if (this.#calls >= this.at) throw new Ended()
        return link[how](...(command as [string]))
      }) as (typeof link)[Of]
    return Object.assign(Object.create(link), { text: call('text'), bytes: call('bytes') })
  }
}

/**
 * An old owner that has heard of a claim before it was told to remove its keys is made to have them once more, and removes them. A tool that was killed in
 * between left an empty string under the name of a partition's key, and `fix` could not know what it was.
 */
it('a tool that ends while keys are removed once more leaves none of them', async () => {
  const { cluster, dispose } = await openCluster()
  onTestFinished(dispose)
  const [from, to] = (await mastersOf(cluster)).map((each) => ({ ...each, name: `127.0.0.1:${each.port}` }))
  if (!from || !to) throw new Error('no masters')
  const slot = slotsIn(to.slots)[0] ?? 0
  const names = ['tasks', 'ready:medium'].map((key) =>
    Buffer.from(`shardq:jobs:{${tagForSlot(slot)}}:${key}`),
  )
  const keys = names.map((name) => ({ name, bytes: 1 }))
  let end: unknown = new Ended()
  for (let at = 1; end instanceof Ended; at++) {
    const nodes = new EndingNodes(at)
    end = await forgetKeys(nodes, { slot, from, to }, keys).catch((error) => error)
    await nodes.close()
    expect(await tell(from.port, 'CLUSTER', 'COUNTKEYSINSLOT', slot)).toBe('0')
  }
  expect(end).toBeUndefined()
}, 60_000)
