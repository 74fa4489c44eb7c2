import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { ConnectionLostError } from '../../../src/cluster/errors.js'
import { type LocalCluster, withOperation } from '../../../src/cluster/index.js'
import { type Address, type LinkOptions, nameOf, withLink } from '../../../src/cluster/link.js'
import { Nodes } from '../../../src/cluster/move/nodes.js'
import { Fence } from '../../../src/cluster/operation/fence.js'
import { OPERATION_KEY } from '../../../src/cluster/own-keys.js'
import { slotOf, tagForSlot } from '../../../src/keys/slots.js'
import { tell } from '../../helpers/nodes.js'
import { openCluster } from '../../helpers/own-cluster.js'
import { stalling } from '../../helpers/stalling.js'

/**
 * A command that was given up after its time-out, and lay in a buffer, was carried out when its network recovered: an UNLINK of old copies removed
 * what had become the only one, as the operation had gone on, over another connection, or another operation had.
 */
let cluster: LocalCluster
let dispose: () => Promise<void>
let node: Address
let key: string
beforeAll(async () => {
  ;({ cluster, dispose } = await openCluster({ replicasPerMaster: 0 }))
  // Not the one that keeps the lock.
  const other = (await cluster.status()).nodes.find(
    ({ slots }) =>
      !slots.some(([first, last]) => first <= slotOf(OPERATION_KEY) && slotOf(OPERATION_KEY) <= last),
  )
  const [[slot] = [0]] = other?.slots ?? []
  if (!other) throw new Error('one node has all slots')
  node = { host: '127.0.0.1', port: other.port }
  key = `{${tagForSlot(slot)}}precious`
})
afterAll(() => dispose?.())
beforeEach(async () => {
  await tell(node.port, 'SET', key, 'an old copy')
})

const OPERATION = { name: 'rebalance' } as const
const QUICK = { timeoutMs: 300 } as const

/** The node behind a network that holds UNLINK back. */
async function behind(): Promise<{ access: LinkOptions; flush: () => Promise<void> }> {
  const { address, flush } = await stalling(node, 'UNLINK')
  return { access: { natMap: { [nameOf(node)]: address } }, flush }
}

const operate = (access: LinkOptions, run: (access: LinkOptions) => Promise<void>) =>
  withOperation(cluster.seeds, access, OPERATION, undefined, ({ mayCall, fence }) =>
    run({ ...access, mayCall, fence }),
  )

it('what an operation has given up is not carried out after it has gone on over another connection', async () => {
  const { access, flush } = await behind()
  await operate(access, async (held) => {
    const removed = withLink(node, { ...held, ...QUICK }, (link) => link.text('UNLINK', key))
    await expect(removed).rejects.toThrow('no answer')
    await withLink(node, held, (link) => link.text('SET', key, 'the only copy'))
    await flush()
  })
  expect(await tell(node.port, 'GET', key)).toBe('the only copy')
})

it('nor after another operation has begun', async () => {
  const { access, flush } = await behind()
  await operate(access, async (held) => {
    const removed = withLink(node, { ...held, ...QUICK }, (link) => link.text('UNLINK', key))
    await expect(removed).rejects.toThrow('no answer')
  })
  await operate({}, (held) =>
    withLink(node, held, (link) => link.text('SET', key, 'the only copy')).then(() => {}),
  )
  await flush()
  expect(await tell(node.port, 'GET', key)).toBe('the only copy')
})

it('a link that was closed so is opened anew', async () => {
  const { access, flush } = await behind()
  await operate(access, async (held) => {
    const nodes = new Nodes({ ...held, ...QUICK })
    const party = { ...node, name: nameOf(node), id: '' }
    await expect(nodes.text(party, 'UNLINK', key)).rejects.toThrow('no answer')
    // Over a link of its own, in front of which the fence closes the other one.
    expect(await nodes.patiently(party, 1_000, (link) => link.text('PING'))).toBe('PONG')
    expect(await nodes.text(party, 'PING')).toBe('PONG')
    await nodes.close()
  })
  await flush()
  expect(await tell(node.port, 'GET', key)).toBe('an old copy')
})

it('connections of whoever is no operation are left alone; those of operations, by one without the lock', async () => {
  const enter = (isAlone: boolean) =>
    withLink(node, { fence: new Fence(isAlone) }, (link) => link.text('PING'))
  await withLink(node, {}, async (mine) => {
    await mine.text('CLIENT', 'SETNAME', 'shardq:operations')
    await withLink(node, { fence: new Fence(true) }, async (link) => {
      await enter(false)
      expect(await link.text('PING')).toBe('PONG')
      await enter(true)
      await expect(link.text('PING')).rejects.toThrow(ConnectionLostError)
    })
    expect(await mine.text('PING')).toBe('PONG')
  })
})
