import {
  InvalidOptionError,
  LeaseLostError,
  PayloadTooLargeError,
  QueueFullError,
  TaskNotFoundError,
} from '../errors.js'
import type { Partition } from '../keys/partitions.js'
import { checkpointCall } from '../scripts/checkpoint.js'
import type { DeliveryHost } from './delivery.js'
import { toJson } from './json.js'
import { checkText } from './validate.js'

export interface Checkpoint {
  readonly step: string
  readonly data: unknown
  /** Ms since 1970, by the server's clock. */
  readonly savedAt: number
}

/** @throws LeaseLostError, TaskNotFoundError, PayloadTooLargeError, QueueFullError, InvalidDataError, InvalidOptionError */
export async function saveCheckpoint(
  host: Pick<DeliveryHost, 'name' | 'durability' | 'options'>,
  partition: Partition,
  input: {
    readonly id: string
    readonly step: string
    readonly data: unknown
    readonly leaseId: string | undefined
  },
  before?: () => Promise<void>,
): Promise<void> {
  const { maxPayloadBytes, enqueueTimeoutMs } = host.options
  const step = checkText('step', input.step, 200)
  const what = `checkpoint ${JSON.stringify(step)} of task ${input.id}`
  if (input.data === undefined) throw new InvalidOptionError('data', 'expected a value; use null for none')
  const call = checkpointCall(partition.keys, {
    id: input.id,
    step,
    data: toJson(what, input.data, maxPayloadBytes),
    limitBytes: maxPayloadBytes,
    leaseId: input.leaseId,
  })
  const { value } = await host.durability.call(partition, input.id, call, {
    lane: 'inspect',
    timeoutMs: enqueueTimeoutMs,
    ...(before && { before }),
  })
  switch (value.kind) {
    case 'saved':
      return
    case 'lost':
      throw new LeaseLostError(input.id)
    case 'gone':
      throw input.leaseId === undefined
        ? new TaskNotFoundError(host.name, input.id)
        : new LeaseLostError(input.id)
    case 'memory': {
      const why = `its shard is out of memory, and ${what} would take ${value.bytes} bytes with those before it`
      throw new QueueFullError(
        host.name,
        `${why}; until tasks have been completed, only small ones are saved`,
      )
    }
    case 'steps': {
      const problem = `task ${input.id} has checkpoints of ${value.most} different steps, the most that one may have`
      throw new InvalidOptionError('step', `${problem}; save a list under one step, or a step that it has`)
    }
    case 'full':
      throw new PayloadTooLargeError(`${what}, with those before it,`, value.bytes, maxPayloadBytes)
  }
}
