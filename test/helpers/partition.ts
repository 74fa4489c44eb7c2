import { randomBytes } from 'node:crypto'
import type { Redis } from 'ioredis'
import { type PartitionKeys, partitionKeys } from '../../src/keys/keys.js'
import { membersOf, type Named, sizeOf } from '../../src/scripts/bundles.js'
import { enqueueCall, type NewTask } from '../../src/scripts/enqueue.js'
import { type ExchangeResult, exchangeCall } from '../../src/scripts/exchange.js'
import { extendCall, failCall, releaseCall } from '../../src/scripts/lease.js'
import type { ScriptCall } from '../../src/scripts/script.js'
import type { Settled } from '../../src/scripts/settled.js'
import { batchOf } from '../../src/scripts/task-batch.js'
import { voidCall } from '../../src/scripts/void.js'

/** All that a partition has, by plain reads. */
export interface Contents {
  readonly ready: readonly [string[], string[], string[]]
  readonly scheduled: string[]
  readonly dead: string[]
  /** Lease id -> names in its set. */
  readonly leases: ReadonlyMap<string, string[]>
  /** Leases that have a time to run out. */
  readonly open: string[]
  readonly tasks: ReadonlyMap<string, string>
  readonly attempts: string[]
  readonly errors: string[]
  readonly checkpoints: string[]
  readonly counters: ReadonlyMap<string, number>
  readonly bundled: ReadonlyMap<string, number>
}

export interface Fetch {
  readonly leaseId: string
  /** Default 500. */
  readonly count?: number
  readonly least?: number
  /** Default 60,000. */
  readonly leaseMs?: number
  readonly levels?: readonly number[]
}

export interface Exchanged {
  /** How each acknowledged name was answered (exchange.lua). */
  readonly digits: string
  /** Names that were handed out. */
  readonly names: string[]
  readonly result: ExchangeResult
}

/** One partition of a queue that nobody else uses, whose scripts are called by the test itself. */
export class OwnPartition {
  readonly keys: PartitionKeys
  /** Tasks that were voided, as their callers were told. */
  voided = 0
  #batchNumber = 0
  /** Of each task, the list that it was stored in. */
  readonly #levels = new Map<string, 0 | 1 | 2>()

  constructor(
    private readonly redis: Redis,
    queue = `t-${randomBytes(5).toString('hex')}`,
  ) {
    this.keys = partitionKeys(queue, '0')
  }

  /** The reply as the script gives it. */
  raw(call: ScriptCall<unknown>): Promise<unknown> {
    const { script, keys, args } = call
    return this.redis.eval(script.source, keys.length, ...keys, ...args)
  }

  async run<Result>(call: ScriptCall<Result>): Promise<Result> {
    return call.parse(await this.raw(call))
  }

  /** Tasks of a bundle by its name, and single ones by their id. */
  enqueue(names: readonly string[], options: Partial<NewTask> = {}) {
    const level = options.level ?? 1
    const tasks = names.flatMap(membersOf).map(
      (named): NewTask => ({
        ...named,
        record: `${level}3|["t",1700000000000,null]`,
        level,
        delayMs: 0,
        idempotencyKey: undefined,
        ...options,
      }),
    )
    for (const { id } of tasks) this.#levels.set(id, level)
    const input = { ...this.#asProducer(), stamp: `s${this.#batchNumber}`, rememberKeyMs: 60_000 }
    return this.run(enqueueCall(this.keys, { ...input, batch: batchOf(tasks) }))
  }

  #asProducer() {
    return { producerId: 'p', batchNumber: ++this.#batchNumber, rememberBatchMs: 60_000 }
  }

  /** Acknowledges names under leases, and hands out tasks where `fetch` is given. */
  async exchange(
    acknowledge: readonly (readonly [leaseId: string, ...names: string[]])[],
    fetch?: Fetch,
    options: { readonly keepResultsMs?: number; readonly result?: string; readonly carried?: string } = {},
  ): Promise<Exchanged> {
    const { keepResultsMs = 0, result = '1', carried = '' } = options
    const call = exchangeCall(this.keys, {
      acknowledge: acknowledge.map(([leaseId, ...names]) => {
        const tasks: Named[] = names.flatMap(membersOf)
        return { leaseId, tasks, results: tasks.map(() => result), oneByOne: false }
      }),
      keepResultsMs,
      carried,
      fetch: {
        leaseId: '',
        leaseMs: 60_000,
        count: fetch ? 500 : 0,
        least: 500,
        levels: [0, 1, 2],
        ...fetch,
      },
    })
    const reply = (await this.raw(call)) as [string, string[]]
    return { digits: reply[0], names: reply[1], result: call.parse(reply) }
  }

  /** A number for each (release.lua). */
  release(leaseId: string, ids: readonly string[]): Promise<unknown> {
    return this.raw(releaseCall(this.keys, { leaseId, ids }))
  }

  fail(leaseId: string, id: string, next: number | 'die' = 0): Promise<Settled | 'counted'> {
    return this.run(failCall(this.keys, { leaseId, id, next, error: '{"name":"Error","message":"no"}' }))
  }

  extend(leaseId: string, id: string, newLeaseId = `${leaseId}:${id}`): Promise<Settled> {
    return this.run(extendCall(this.keys, { id, leaseId, newLeaseId, leaseMs: 60_000 }))
  }

  /** @returns those that were removed, each once */
  async void(ids: readonly string[]): Promise<readonly string[]> {
    const copies = ids.map((id) => ({ id, bundle: undefined, place: 0, level: this.#levels.get(id) ?? 1 }))
    const { removed } = await this.run(voidCall(this.keys, { ...this.#asProducer(), copies }))
    const gone = [...new Set([...removed].map(({ id }) => id))]
    this.voided += gone.length
    return gone
  }

  async contents(): Promise<Contents> {
    const { redis, keys } = this
    const hash = async (key: string) => new Map(Object.entries(await redis.hgetall(key)))
    const numbers = async (key: string) =>
      new Map([...(await hash(key))].map(([field, value]) => [field, Number(value)]))
    const [high, medium, low] = await Promise.all(keys.ready.map((list) => redis.lrange(list, '0', '-1')))
    const leases = new Map<string, string[]>()
    for (const key of await redis.keys(`${keys.lease('')}*`))
      leases.set(key.slice(keys.lease('').length), await redis.smembers(key))
    return {
      ready: [high ?? [], medium ?? [], low ?? []],
      scheduled: await redis.zrange(keys.scheduled, '0', '-1'),
      dead: await redis.zrange(keys.dead, '0', '-1'),
      leases,
      open: await redis.zrange(keys.leases, '0', '-1'),
      tasks: await hash(keys.tasks),
      attempts: await redis.hkeys(keys.attempts),
      errors: await redis.hkeys(keys.errors),
      checkpoints: await redis.hkeys(keys.checkpoints),
      counters: await numbers(keys.counters),
      bundled: await numbers(keys.bundled),
    }
  }

  async remove(): Promise<void> {
    const prefix = this.keys.tasks.slice(0, -'tasks'.length)
    const left = await this.redis.keys(`${prefix}*`)
    if (left.length > 0) await this.redis.del(...left)
  }
}

/** Ids of the tasks that there are, each as often as it has a record. */
export function taskIds({ tasks }: Contents): string[] {
  return [...tasks.keys()].flatMap((name) => membersOf(name).map(({ id }) => id))
}

/**
 * What is wrong with a partition: tasks that are nowhere or in two places, names that stand twice, leases without an end, counts
 * that are not those of the names. `voided`: how many were voided, as their callers were told.
 */
export function faultsOf(contents: Contents, voided: number): string[] {
  const { ready, scheduled, dead, leases, open, tasks, counters, bundled } = contents
  const faults: string[] = []
  const ids = taskIds(contents)
  const standing = [...ready.flat(), ...scheduled, ...dead, ...[...leases.values()].flat()]
  const places = new Map(ids.map((id) => [id, 0]))
  // The name of a bundle that was taken apart stands for those of its tasks that are left.
  for (const name of standing)
    for (const { id } of membersOf(name)) if (places.has(id)) places.set(id, (places.get(id) ?? 0) + 1)
  if (places.size !== ids.length) faults.push('a task has two records')
  for (const [id, count] of places) if (count !== 1) faults.push(`task ${id} is in ${count} places`)
  const there = standing.filter((name) => tasks.has(name))
  for (const name of there.filter((each, i) => there.indexOf(each) !== i)) faults.push(`${name} stands twice`)

  const beyond = (names: readonly string[]) => names.reduce((sum, name) => sum + sizeOf(name) - 1, 0)
  const recount = { ...ready.map(beyond), active: beyond([...leases.values()].flat()) }
  for (const [field, count] of Object.entries(recount))
    if ((bundled.get(field) ?? 0) !== count)
      faults.push(`bundled ${field}: ${bundled.get(field)}, the names say ${count}`)

  if ([...open].sort().join() !== [...leases.keys()].sort().join())
    faults.push(`leases ${open} have a time, leases ${[...leases.keys()]} have tasks`)
  for (const [what, fields] of Object.entries({
    attempts: contents.attempts,
    checkpoints: contents.checkpoints,
  }))
    for (const id of fields) if (!places.has(id)) faults.push(`${what} of task ${id}, which is not there`)
  for (const id of contents.errors) if (!dead.includes(id)) faults.push(`error of ${id}, which is not dead`)

  const count = (name: string) => counters.get(name) ?? 0
  const balance = count('enqueued') - count('completed') - count('removed') - voided
  if (balance !== ids.length) faults.push(`the counters say ${balance} tasks, there are ${ids.length}`)
  if (counters.has('voided') && count('voided') !== voided)
    faults.push(`voided ${count('voided')}, told ${voided}`)
  return faults
}
