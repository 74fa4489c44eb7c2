import { expect, it, vi } from 'vitest'
import { Connection } from '../../src/connection/connection.js'
import { makePartitions } from '../../src/keys/partitions.js'
import { Item } from '../../src/queue/item.js'
import { ProducerLane } from '../../src/queue/producer-lane.js'
import { resolveQueueOptions } from '../../src/queue/queue-options.js'
import { Stamps } from '../../src/queue/stamps.js'
import { Untold } from '../../src/queue/untold.js'

const RECEIVER = { stored: vi.fn(), failed: vi.fn() }
const item = () =>
  new Item(
    { record: '14|["t",1,null]', level: 1, delayMs: 0, idempotencyKey: undefined, key: undefined },
    RECEIVER,
    0,
    Number.POSITIVE_INFINITY,
  )

function lane(): ProducerLane {
  const [partition] = makePartitions('q', 1)
  if (!partition) throw new Error('no partition')
  const options = resolveQueueOptions({ connection: { mode: 'single', url: 'redis://127.0.0.1:1' } })
  const counters = { reroutes: 0, unconfirmed: 0, accepted: 0, voided: 0, restored: 0 }
  const connection = new Connection(options.connection)
  return new ProducerLane(
    partition,
    'p',
    new Stamps(),
    connection,
    options,
    new Untold(counters),
    1_000,
    () => {},
  )
}

it('two parts of a batch that are to be sent again are both sent again', () => {
  const one = lane()
  const batch = one.newBatch([item(), item(), item()])
  const [first, ...others] = batch.items
  one.sendAgain({ ...batch, items: first ? [first] : [] })
  one.sendAgain({ ...batch, items: others })
  expect(one.takeResend()).toMatchObject({ number: batch.number, stamp: batch.stamp, items: batch.items })
})

it('two batches are never to be sent again at once', () => {
  const one = lane()
  one.sendAgain(one.newBatch([item()]))
  expect(() => one.sendAgain(one.newBatch([item()]))).toThrow('waits for the same')
})
