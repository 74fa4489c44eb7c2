import { InvalidOptionError } from '../errors.js'
import { onceName } from '../keys/keys.js'
import { type EnqueueOptions, resolveEnqueueOptions } from './enqueue-options.js'
import type { EncodedTask } from './item.js'
import { toJson } from './json.js'
import { encodeRecord, levelOf } from './task.js'
import { checkKeys, checkName, type Name } from './validate.js'

/** Most types whose JSON is remembered. */
const MOST_TYPES = 1_000

/** Checks what callers give, and makes of it what is stored. */
export class Encoder {
  /** Types that have been checked, as JSON. */
  readonly #typeJson = new Map<string, string>()
  /** Of the item that is being encoded. Its names are made here once, and not for each item: hardly any is ever read. */
  #index = 0
  readonly #itemName = () => `items[${this.#index}]`
  readonly #dataName = () => `items[${this.#index}].data`

  constructor(private readonly maxPayloadBytes: number) {}

  /** @throws InvalidOptionError, InvalidDataError, PayloadTooLargeError */
  task(type: string, data: unknown, options: EnqueueOptions | undefined): EncodedTask {
    return this.#encode(type, data, options, () => `the data of a ${JSON.stringify(type)} task`)
  }

  /** One of many: errors name it by its index. @throws as `task` */
  item(item: { type: string; data: unknown; options?: EnqueueOptions }, index: number): EncodedTask {
    this.#index = index
    checkKeys(this.#itemName, item, ['type', 'data', 'options'])
    try {
      return this.#encode(item.type, item.data, item.options, this.#dataName)
    } catch (error) {
      if (!(error instanceof InvalidOptionError)) throw error
      const problem = error.message.slice(error.option.length + 2)
      throw new InvalidOptionError(`items[${index}].${error.option}`, problem, { cause: error })
    }
  }

  #encode(type: string, data: unknown, options: EnqueueOptions | undefined, name: Name): EncodedTask {
    const resolved = resolveEnqueueOptions(options)
    const { partitionKey, idempotencyKey } = resolved
    // The type's own checks and its text as JSON are the same each time.
    const typeJson = this.#typeJson.get(type) ?? this.#learnType(type)
    return {
      record: encodeRecord(typeJson, toJson(name, data, this.maxPayloadBytes), resolved),
      level: levelOf(resolved.priority),
      delayMs: resolved.delayMs,
      idempotencyKey: idempotencyKey === undefined ? undefined : onceName(idempotencyKey, partitionKey),
      key: partitionKey ?? idempotencyKey,
    }
  }

  #learnType(type: string): string {
    const json = JSON.stringify(checkName('type', type))
    if (this.#typeJson.size < MOST_TYPES) this.#typeJson.set(type, json)
    return json
  }
}
