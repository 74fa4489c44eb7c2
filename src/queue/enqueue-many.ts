import { EnqueueManyError, NotConnectedError } from '../errors.js'
import { toError } from './describe-error.js'
import type { Encoder } from './encoder.js'
import type { EnqueueOptions } from './enqueue-options.js'
import { type EncodedTask, ManyReceiver } from './item.js'
import type { Producer } from './producer.js'

interface NewTask {
  readonly type: string
  readonly data: unknown
  readonly options?: EnqueueOptions
}

/** Bytes of records that are made of an array before the first of them is sent. */
const ENCODE_AHEAD_BYTES = 8 * 1024 * 1024

/**
 * Sends many tasks, no faster than the cluster takes them. An array is checked as a whole before the first is sent. Of
 * anything else an item is taken when there is room for it, so that as many as one likes need no memory but for their ids.
 */
export async function enqueueMany(
  producer: Producer,
  encoder: Encoder,
  items: Iterable<NewTask> | AsyncIterable<NewTask>,
): Promise<string[]> {
  const receiver = new ManyReceiver()
  if (Array.isArray(items)) await addArray(producer, encoder, items, receiver)
  else await addEach(producer, encoder, items, receiver)
  const { ids, failures } = await receiver.all()
  if (failures.length > 0)
    throw new EnqueueManyError(
      ids,
      failures.sort((a, b) => a.index - b.index),
    )
  return ids as string[]
}

async function addArray(
  producer: Producer,
  encoder: Encoder,
  items: readonly NewTask[],
  receiver: ManyReceiver,
): Promise<void> {
  const encoded: (EncodedTask | undefined)[] = []
  let bytes = 0
  for (let index = 0; index < items.length; index++) {
    const task = encoder.item(items[index] as NewTask, index)
    // Of many, only the first are kept: the others are checked, and encoded again when their turn comes.
    if (bytes < ENCODE_AHEAD_BYTES) encoded.push(task)
    bytes += task.record.length
  }
  let closed: NotConnectedError | undefined
  // What others append to the array meanwhile is not of this call.
  const count = items.length
  for (let index = 0; index < count; index++) {
    if (producer.closed) {
      // One error for all: they are of the same kind and moment, and an array may be long.
      closed ??= new NotConnectedError(producer.queue)
      receiver.failed(receiver.expect(), closed)
      continue
    }
    let task = encoded[index]
    try {
      task ??= encoder.item(items[index] as NewTask, index)
    } catch (error) {
      // Good when it was checked, and changed since, or its `toJSON` throws the second time. Others are stored by now.
      receiver.failed(receiver.expect(), toError(error))
      continue
    }
    const home = producer.homeOf(task)
    if (producer.crowded(task, home)) await producer.room(task, home)
    producer.add(task, receiver, receiver.expect(), home)
    // Whatever lives until all are stored is copied by the garbage collector again and again.
    encoded[index] = undefined
  }
}

/**
 * The first item that is bad, or that the source fails to give, is the last that is taken; so is the first one after the queue was
 * disconnected: the source may have no end, and an error would be kept for each that it still gives.
 */
async function addEach(
  producer: Producer,
  encoder: Encoder,
  items: Iterable<NewTask> | AsyncIterable<NewTask>,
  receiver: ManyReceiver,
): Promise<void> {
  let index = 0
  /** @returns whether the next one is to be taken; a promise only where there is something to wait for, since it costs a turn */
  const add = (item: NewTask): boolean | Promise<boolean> => {
    if (producer.closed) {
      receiver.failed(receiver.expect(), new NotConnectedError(producer.queue))
      return false
    }
    const task = encoder.item(item, index++)
    const home = producer.homeOf(task)
    const enqueue = () => {
      producer.add(task, receiver, receiver.expect(), home)
      return true
    }
    return producer.crowded(task, home) ? producer.room(task, home).then(enqueue) : enqueue()
  }
  try {
    if (Symbol.asyncIterator in items) {
      for await (const item of items) {
        const more = add(item)
        if (!(typeof more === 'boolean' ? more : await more)) break
      }
    } else {
      for (const item of items) {
        const more = add(item)
        if (!(typeof more === 'boolean' ? more : await more)) break
      }
    }
  } catch (error) {
    receiver.failed(receiver.expect(), toError(error))
  }
}
