import { expect, it } from 'vitest'
import { LeaseLostError, NotReplicatedError, QueueUnavailableError } from '../../src/errors.js'
import { makePartitions, type Partition } from '../../src/keys/partitions.js'
import type { AcknowledgementReceiver } from '../../src/queue/acknowledgement.js'
import { Delivery, type DeliveryHost } from '../../src/queue/delivery.js'
import type { SafeCallOptions } from '../../src/queue/durability.js'
import { Lease } from '../../src/queue/lease.js'
import { leaseNow } from '../../src/queue/lease-clock.js'
import { decodeRecord } from '../../src/queue/task.js'
import type { ScriptCall } from '../../src/scripts/script.js'
import { record } from '../fake/giver.js'

const [partition] = makePartitions('unit', 1) as [Partition]
const LEASE = 'lease'
const OWN = 'lease:0.x'

/** A master that knows which lease the one task is in, and nothing else. */
class Master {
  /** '' when nobody holds the task. */
  lease = LEASE
  /** What becomes of the next `extend`. */
  next: 'unconfirmed' | 'no reply' | 'not carried out' | undefined
  /** Scripts under which lease, in order. */
  readonly seen: string[] = []
  /** What the client takes for the lease of a task with a key. */
  reasserted = LEASE

  delivery(): Delivery {
    const lane = {
      settling: () => undefined,
      left: () => undefined,
      reopened: () => undefined,
      asserted: () => Promise.resolve(),
      moving: (from: string, __: string, next: Lease) => {
        if (this.reasserted === from) this.reasserted = next.id
      },
      acknowledge: (task: { id: string }, lease: Lease, _: string, receiver: AcknowledgementReceiver) => {
        this.seen.push(`complete ${lease.id}`)
        if (this.#end(lease.id)) receiver.acknowledged()
        else receiver.refused(new LeaseLostError(task.id))
      },
    }
    const host = {
      name: 'unit',
      options: { keepResultsMs: 0, maxPayloadBytes: 1_000, enqueueTimeoutMs: 1_000 },
      durability: {
        call: async (_: Partition, __: string, call: ScriptCall<unknown>, options: SafeCallOptions) => {
          await options.before?.(false)
          return this.#call(call)
        },
      },
      consumer: { lane: () => lane, leaseEnds: () => undefined },
    } as unknown as DeliveryHost
    const task = { id: '0.x', record: record(), attemptsUsed: 0, bundle: undefined, place: 0 }
    return new Delivery(
      host,
      new Lease(partition, LEASE, 30_000, leaseNow()),
      task,
      decodeRecord('0.x', record()),
    )
  }

  async #call({ script, keys, args, parse }: ScriptCall<unknown>) {
    return { value: parse(await this.#run(script.name, keys, args.map(String))), resent: false }
  }

  async #run(script: string, keys: readonly string[], args: readonly string[]): Promise<unknown> {
    const lease = args[1] ?? ''
    switch (script) {
      case 'extend': {
        const how = this.next
        this.next = undefined
        const held = this.lease === lease || this.lease === args[2]
        if (held && how !== 'not carried out') this.lease = args[2] ?? ''
        if (how === 'unconfirmed') throw new NotReplicatedError('unit', '0.x', 'no replica confirms it')
        if (how !== undefined) throw new QueueUnavailableError('unit', 'no reply')
        return held ? 'done' : 'lost'
      }
      case 'checkpoint': {
        const under = keys[2]?.endsWith(this.lease) ? this.lease : 'another'
        this.seen.push(`checkpoint ${under}`)
        return this.lease !== '' && under === this.lease ? ['saved'] : ['lost']
      }
      case 'release':
        this.seen.push(`release ${lease}`)
        return [this.#end(lease) ? 1 : 0]
      default:
        this.seen.push(`fail ${lease}`)
        return this.#end(lease) ? 'done' : 'lost'
    }
  }

  #end(lease: string): boolean {
    if (this.lease !== lease) return false
    this.lease = ''
    return true
  }
}

const settle: Record<string, (delivery: Delivery) => Promise<unknown>> = {
  complete: (delivery) => delivery.complete(),
  fail: (delivery) => delivery.fail(new Error('x')),
  release: (delivery) => delivery.release(),
}

/** One that the master has extended, and no replica has confirmed that. */
async function extendedUnconfirmed() {
  const master = new Master()
  const delivery = master.delivery()
  master.next = 'unconfirmed'
  await expect(delivery.extend(90_000)).rejects.toBeInstanceOf(NotReplicatedError)
  return { master, delivery }
}

it.each(Object.keys(settle))(
  '%s holds after an extension that was carried out and not confirmed',
  async (how) => {
    const { master, delivery } = await extendedUnconfirmed()
    expect(master.reasserted).toBe(OWN)
    expect(delivery.leases.map(({ id }) => id)).toEqual([OWN, LEASE])
    await delivery.checkpoint('step', 1)
    await settle[how]?.(delivery)
    expect(master.seen).toEqual([`checkpoint ${OWN}`, `${how} ${OWN}`])
  },
)

it.each(Object.keys(settle))(
  '%s holds also when the master that had extended it is gone with that',
  async (how) => {
    const { master, delivery } = await extendedUnconfirmed()
    master.lease = LEASE
    await settle[how]?.(delivery)
    expect(master.seen).toEqual([`${how} ${OWN}`, `${how} ${LEASE}`])
  },
)

it.each(['no reply', 'not carried out'] as const)(
  'an extension of which nothing was heard (%s): either lease will do',
  async (fate) => {
    for (const how of Object.keys(settle)) {
      const master = new Master()
      const delivery = master.delivery()
      master.next = fate
      await expect(delivery.extend(90_000)).rejects.toBeInstanceOf(QueueUnavailableError)
      await delivery.checkpoint('step', 1)
      await settle[how]?.(delivery)
      expect(master.lease).toBe('')
    }
  },
)

it.each(['unconfirmed', 'no reply', 'not carried out'] as const)(
  'an extension after one that was %s makes sure of the lease',
  async (fate) => {
    const master = new Master()
    const delivery = master.delivery()
    for (let i = 0; i < 3; i++) {
      master.next = fate
      await expect(delivery.extend(90_000)).rejects.toThrow()
    }
    await delivery.extend(90_000)
    expect(delivery.leases.map(({ id }) => id)).toEqual([OWN])
    expect(master.lease).toBe(OWN)
    await delivery.complete()
    expect(master.seen).toEqual([`complete ${OWN}`])
  },
)

it('a task that somebody else has is lost, under both leases', async () => {
  for (const how of Object.keys(settle)) {
    const { master, delivery } = await extendedUnconfirmed()
    master.lease = 'of somebody else'
    await expect(delivery.checkpoint('step', 1)).rejects.toBeInstanceOf(LeaseLostError)
    await expect(settle[how]?.(delivery)).rejects.toBeInstanceOf(LeaseLostError)
  }
})
