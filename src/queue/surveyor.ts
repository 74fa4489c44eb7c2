import { Connection } from '../connection/connection.js'
import { gather } from '../connection/gather.js'
import { addressText } from '../connection/host.js'
import type { ConnectionOptions } from '../connection/options.js'
import { accessOf, resolveTarget } from '../connection/target.js'
import { WrongModeError } from '../errors.js'
import { QUEUES_KEY, queueKey } from '../keys/keys.js'
import { makePartitions, type Partition } from '../keys/partitions.js'
import { slotOf } from '../keys/slots.js'
import { type PartitionSurvey, surveyCall } from '../scripts/survey.js'
import { type QueueList, readQueues } from './registry.js'

export interface SurveyorOptions {
  /** Longest that a survey takes, in ms. Default 1,000. */
  readonly timeoutMs?: number
  /**
   * Longest wait for one answer, in ms. Default `timeoutMs`. Less for who looks once: a node that stands still must not use up all of
   * the time before anybody else is asked.
   */
  readonly commandTimeoutMs?: number
  /** Most queues that are looked at, the first by name. Default 100. */
  readonly mostQueues?: number
}

export interface QueueSurvey {
  readonly name: string
  /** By index; undefined for one that did not answer in time. `shard` is host:port of its master. */
  readonly partitions: readonly (PartitionAnswer | undefined)[]
}

export interface PartitionAnswer extends PartitionSurvey {
  readonly shard: string
}

export interface Survey {
  readonly queues: readonly QueueSurvey[]
  /** Why it may not be all: the cluster, or the list of queues, could not be read, or a shard does not answer. */
  readonly error: Error | undefined
  /** `host:port` of masters that did not answer in time; what they have is in no figure. */
  readonly silent: readonly string[]
  /** Queues of which nothing is known but the name, since no node of the shard that tells more answers. */
  readonly unread: readonly string[]
  /** Whether a node of the cluster has answered at all. */
  readonly reached: boolean
}

/** Looks at all queues of a cluster, or of a single Redis, again and again over the same connections. */
export class Surveyor {
  readonly #timeoutMs: number
  readonly #mostQueues: number
  readonly #options: ConnectionOptions
  #connection: Connection | undefined
  #opening: Promise<Connection> | undefined
  #closed = false
  /** As last seen: they stay while the master that knows them is down. */
  #list: QueueList = new Map()
  #unread: readonly string[] = []
  /** Whether the list was read by the survey under way. */
  #listed = false
  readonly #partitions = new Map<string, readonly Partition[]>()

  constructor(
    options: ConnectionOptions,
    { timeoutMs = 1_000, commandTimeoutMs = timeoutMs, mostQueues = 100 }: SurveyorOptions = {},
  ) {
    this.#options = { ...options, commandTimeoutMs, connectTimeoutMs: timeoutMs }
    this.#timeoutMs = timeoutMs
    this.#mostQueues = mostQueues
  }

  /** Never throws for what a server does, and gives what is known when the time-out is over. One call at a time. */
  async survey(): Promise<Survey> {
    const answers = new Map<string, (PartitionAnswer | undefined)[]>()
    let error: Error | undefined
    let isLate = false
    this.#listed = false
    const work = this.#look(answers).catch((cause: Error) => {
      error = cause
    })
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(() => {
        isLate = true
        // What has arrived while this process was busy is read first.
        setImmediate(resolve)
      }, this.#timeoutMs)
    })
    await Promise.race([work, late])
    clearTimeout(timer)
    const queues = [...this.#list].map(([name, count]) => ({
      name,
      partitions: [...(answers.get(name) ?? new Array<undefined>(count).fill(undefined))],
    }))
    const silent = this.#silent(queues)
    const from = silent.length > 0 ? ` from ${silent.join(', ')}` : ''
    if (isLate) error ??= new Error(`no answer within ${this.#timeoutMs} ms${from}`)
    return { queues, error, silent, unread: this.#unread, reached: this.#connection !== undefined }
  }

  /** Who serves what was not answered; before the list is known, who has the list. */
  #silent(queues: readonly QueueSurvey[]): string[] {
    const topology = this.#connection?.topology
    if (!topology) return []
    const slots = queues.flatMap(({ name, partitions }) =>
      this.#partitionsOf(name, partitions.length)
        .filter(({ index }) => partitions[index] === undefined)
        .map(({ slot }) => slot),
    )
    const unread = this.#unread.map((name) => slotOf(queueKey(name)))
    const asked = [...slots, ...unread, ...(this.#listed ? [] : [slotOf(QUEUES_KEY)])]
    const names = asked.map(
      (slot) => topology.ownerOf(slot)?.name ?? `the master of slot ${slot}, which nobody serves`,
    )
    return [...new Set(names)].sort()
  }

  close(): void {
    this.#closed = true
    this.#connection?.stop()
  }

  async #look(answers: Map<string, (PartitionAnswer | undefined)[]>): Promise<void> {
    const connection = await this.#connect()
    const before = this.#list
    // The list is on one master, and the others need not wait for it.
    const listed = this.#readList(connection)
    const [list] = await Promise.allSettled([listed, this.#ask(connection, before, answers)])
    if (list.status === 'rejected') throw list.reason
    const added = [...this.#list].filter(([name]) => !before.has(name))
    if (added.length > 0) await this.#ask(connection, new Map(added), answers)
  }

  async #readList(connection: Connection): Promise<void> {
    const { queues, unread } = await readQueues(connection, {
      // The other half is for what the queues that were found are asked.
      timeoutMs: this.#timeoutMs / 2,
      most: this.#mostQueues,
      known: this.#list,
    })
    this.#list = queues
    this.#unread = unread
    this.#listed = true
    for (const name of this.#partitions.keys()) if (!this.#list.has(name)) this.#partitions.delete(name)
  }

  async #ask(
    connection: Connection,
    list: QueueList,
    answers: Map<string, (PartitionAnswer | undefined)[]>,
  ): Promise<void> {
    const asked = [...list].flatMap(([name, count]) => {
      const found = new Array<PartitionAnswer | undefined>(count).fill(undefined)
      answers.set(name, found)
      return this.#partitionsOf(name, count).map((partition) => ({ partition, found }))
    })
    const questions = asked.map(({ partition: { slot, keys } }) => ({ slot, call: surveyCall(keys) }))
    await gather(connection, questions, this.#timeoutMs, (i, survey, node) => {
      const one = asked[i]
      if (one) one.found[one.partition.index] = { ...survey, shard: node.name }
    })
  }

  #partitionsOf(name: string, count: number): readonly Partition[] {
    let partitions = this.#partitions.get(name)
    if (!partitions) {
      partitions = makePartitions(name, count)
      this.#partitions.set(name, partitions)
    }
    return partitions
  }

  async #connect(): Promise<Connection> {
    if (this.#connection) return this.#connection
    this.#opening ??= this.#open(this.#options).finally(() => {
      this.#opening = undefined
    })
    return this.#opening
  }

  async #open(options: ConnectionOptions): Promise<Connection> {
    const connection = new Connection(options)
    try {
      await connection.start(QUEUES_KEY)
    } catch (error) {
      if (!(error instanceof WrongModeError) || options !== this.#options) throw error
      // Whoever watches may not know which it is.
      return this.#open(inOtherMode(options))
    }
    if (this.#closed) connection.stop()
    this.#connection = connection
    return connection
  }
}

/** A single server in place of a cluster that is none, and the other way round. */
function inOtherMode(options: ConnectionOptions): ConnectionOptions {
  const { seeds } = resolveTarget(options)
  const { commandTimeoutMs, connectTimeoutMs } = options
  const common = {
    ...accessOf(options),
    ...(commandTimeoutMs === undefined ? {} : { commandTimeoutMs }),
    ...(connectTimeoutMs === undefined ? {} : { connectTimeoutMs }),
  }
  if (options.mode === 'single') return { ...common, mode: 'cluster', nodes: seeds }
  const { host = '', port = 0 } = seeds[0] ?? {}
  return { ...common, mode: 'single', url: `redis://${addressText({ host, port })}` }
}
