/** A process that produces, or works, or both, and writes down all that happens to it. Forked by clients.ts. */
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type EnqueueOptions,
  LeaseLostError,
  type QueueOptions,
  TaskQueue,
  Worker,
} from '../../../src/index.js'
import { FileBook, takeLedgerOffset } from '../../../src/ledger/index.js'
import type { Delivery } from '../../../src/queue/delivery.js'
import type { ClientSpec, FromClient, ToClient } from './messages.js'
import { Random } from './random.js'
import { weaken } from './weaken.js'

/** What a handler does with a task, told by the task, so that the same happens wherever it runs. */
type Conduct =
  | 'returns'
  /** At its first attempt; or at every one, until it is dead. */
  | 'fails once'
  | 'fails'
  | 'saves a checkpoint'
  /** Beyond its time-out, at its first attempt. */
  | 'hangs once'
  /** Settles the task itself, without waiting, and then returns. */
  | 'completes twice'
  /** At its first attempt, and it has no other: such a result is a failure that is not tried again. */
  | 'returns what cannot be stored once'

interface Fact {
  readonly token: string
  readonly id: string
  readonly attempt: number
  readonly run: number
}

interface Tasks {
  note: { readonly token: string; readonly conduct: Conduct }
}

const RATE = 440
/** Ms that a caller rests after each task. */
const REST_MS = 50
/** Ms from one task of a caller to the next where a rate is asked for: longer than an enqueue takes, whatever is late. */
const PACE_MS = 500
/** Callers with a key, of all. */
const KEYED_SHARE = 0.27
/** Ms that a handler takes at most. */
const HANDLER_MS = 20
const SLOW_HANDLER_MS = 400
/** Share of the tasks that are due later, and how much later, in ms. */
const LATER_SHARE = 0.3
const LATER_MS = 2_000
/** Short, so that the tasks of a worker that was killed come back soon. */
const LEASE_MS = 3_000
const TIMEOUT_MS = 250
const RESULTS = { ttlMs: 2_000 }
const LEAVE_MS = 2_000

/** Of 100 tasks. */
const CONDUCTS: readonly (readonly [Conduct, number])[] = [
  ['fails once', 6],
  ['fails', 1],
  ['saves a checkpoint', 5],
  ['hangs once', 1],
  ['completes twice', 2],
  ['returns what cannot be stored once', 0.5],
]
const SLOW_CONDUCTS: readonly (readonly [Conduct, number])[] = [...CONDUCTS, ['fails once', 19]]

/** Then the task is not the handler's to fail any more, and may run elsewhere already. */
const isLost = (error: unknown) => error instanceof LeaseLostError

let runs = 0
let paused = true
let calls = 0
const leaving: (() => Promise<void>)[] = []

async function start(spec: ClientSpec): Promise<void> {
  takeLedgerOffset(spec.ledgerOffsetMs)
  weaken(spec.without)
  const book = new FileBook(spec.book, spec.name)
  const random = new Random(spec.seed)
  // A reply that is lost although the call was carried out is what sequence numbers are for.
  const impatient = spec.without === 'sequence' ? { commandTimeoutMs: 200 } : {}
  const options: QueueOptions = {
    connection: { ...spec.connection, ...impatient },
    results: RESULTS,
    ...(spec.without === 'wait' ? { durability: 'async' as const } : {}),
  }
  if (spec.works) await work(spec, options, book, random)
  if (spec.produces) await produce(spec, options, book, random)
}

async function work(spec: ClientSpec, options: QueueOptions, book: FileBook, random: Random): Promise<void> {
  // By the delivery: a task may be tried again, and even run once more at the same attempt, before the end of one before is known.
  const running = new Map<Delivery, { fact: Fact; signal: AbortSignal }>()
  const ended = (task: Delivery, what: 'completed' | 'failed' | 'dead' | 'released') => {
    const run = running.get(task)
    if (!run) return
    running.delete(task)
    book.write({ what, ...run.fact })
  }
  const worker = new Worker<Tasks>(
    spec.queue,
    {
      note: async (task, { signal }) => {
        const { token, conduct } = task.data
        const fact = { token, id: task.id, attempt: task.attempt, run: runs++ }
        const first = task.attempt === 1
        running.set(task, { fact, signal })
        book.write({ what: 'run', ...fact })
        // Told before the queue is: the task may run elsewhere at once. Slow handlers have too little time at later attempts, too.
        signal.addEventListener('abort', () => {
          if (!isLost(signal.reason)) book.write({ what: 'threw', ...fact })
        })
        await sleep(random.between(0, spec.slow ? SLOW_HANDLER_MS : HANDLER_MS))
        if (conduct === 'saves a checkpoint') {
          try {
            await task.checkpoint('half', token)
          } catch (error) {
            if (!isLost(error)) book.write({ what: 'threw', ...fact })
            throw error
          }
        }
        if (conduct === 'hangs once' && first) await sleep(2 * TIMEOUT_MS)
        if (conduct === 'fails' || (conduct === 'fails once' && first)) {
          book.write({ what: 'threw', ...fact })
          throw new Error(conduct)
        }
        if (signal.aborted) return
        book.write({ what: 'ran', ...fact })
        if (conduct === 'completes twice') {
          task.complete().then(
            () => ended(task, 'completed'),
            // The worker's own completion says what became of it.
            () => {},
          )
        }
        return conduct === 'returns what cannot be stored once' && first ? 1n : token
      },
    },
    { ...options, concurrency: spec.slow ? 1_000 : 30, leaseMs: LEASE_MS },
  )
  worker.on('completed', ({ task }) => ended(task, 'completed'))
  worker.on('failed', ({ task }) => ended(task, 'failed'))
  worker.on('dead', ({ task }) => ended(task, 'dead'))
  worker.on('error', (error) => {
    for (const [task, { fact, signal }] of running) {
      if (task.refusal !== error && signal.reason !== error) continue
      running.delete(task)
      book.write({ what: 'refused', ...fact, error: error.name })
    }
  })
  await worker.start()
  leaving.push(async () => {
    await worker.stop({ timeoutMs: LEAVE_MS })
    // There is no event for what a worker hands back when it stops.
    for (const task of running.keys()) if (task.settledAs === 'released') ended(task, 'released')
  })
}

function conductOf(spec: ClientSpec, random: Random): Conduct {
  let place = random.next() * 100
  for (const [conduct, share] of spec.slow ? SLOW_CONDUCTS : CONDUCTS) {
    place -= share
    if (place < 0) return conduct
  }
  return 'returns'
}

async function produce(
  spec: ClientSpec,
  options: QueueOptions,
  book: FileBook,
  random: Random,
): Promise<void> {
  const queue = new TaskQueue<Tasks>(spec.queue, options)
  await queue.connect()
  let count = 0
  let gone = false
  const { rate } = spec
  const caller = async (key: string | undefined) => {
    for (let tookMs = 0; ; ) {
      if (rate === undefined) await sleep(random.between(REST_MS / 2, REST_MS * 1.5))
      else await sleep(Math.max(0, random.between(PACE_MS / 2, PACE_MS * 1.5) - tookMs))
      if (gone) return
      if (paused) continue
      const token = `${spec.name}-${count++}`
      const conduct = conductOf(spec, random)
      calls++
      // Of either key a task is bound to its partition.
      const idempotencyKey = random.next() < 0.05 ? token : undefined
      const bound = key ?? idempotencyKey
      book.write({ what: 'enqueue', token, ...(bound === undefined ? {} : { key: bound }) })
      const stuck = spec.without === 'rerouting' ? { partitionKey: token } : {}
      const task: EnqueueOptions = {
        ...(key === undefined ? stuck : { partitionKey: key }),
        // So that every fault finds tasks waiting.
        delayMs: random.next() < LATER_SHARE ? random.between(1, LATER_MS) : 0,
        // A task that is meant to live has attempts enough for every lease that a fault lets run out.
        maxAttempts: conduct === 'fails' ? 2 : 20,
        backoff: { type: 'fixed', delayMs: random.between(0, 300) },
        priority: random.pick(['high', 'medium', 'low'] as const),
        ...(conduct === 'hangs once' ? { timeoutMs: TIMEOUT_MS } : {}),
        ...(idempotencyKey === undefined ? {} : { idempotencyKey }),
      }
      const beganMs = performance.now()
      try {
        const id = await queue.enqueue('note', { token, conduct }, task)
        book.write({ what: 'acknowledged', token, id })
      } catch (error) {
        book.write({ what: 'rejected', token, error: (error as Error).message })
      }
      tookMs = performance.now() - beganMs
      calls--
    }
  }
  const callers = Math.ceil(rate === undefined ? (RATE * REST_MS) / 1_000 : (rate * PACE_MS) / 1_000)
  for (let i = 0; i < callers; i++)
    void caller(i < callers * KEYED_SHARE ? `${spec.name}-key-${i}` : undefined)
  leaving.push(async () => {
    gone = true
    await queue.disconnect()
    // What was under way has been answered; the callers write it down in their next breath.
    await sleep(50)
  })
}

function tell(message: FromClient): void {
  if (process.connected) process.send?.(message)
}

async function quiet(): Promise<void> {
  while (paused && calls > 0) await sleep(10)
  if (paused) tell({ type: 'quiet' })
}

async function leave(): Promise<void> {
  await Promise.all(leaving.map((end) => end()))
  process.exit()
}

process.on('message', (message: ToClient) => {
  if (message.type === 'go') paused = false
  if (message.type === 'pause') {
    paused = true
    void quiet()
  }
  if (message.type === 'leave') void leave()
  if (message.type === 'start') {
    start(message.spec).then(
      () => tell({ type: 'started' }),
      (error: Error) => tell({ type: 'failed', error: String(error.stack) }),
    )
  }
})
process.on('disconnect', () => process.exit())
// Ctrl-C on a terminal reaches every process; the parent decides when we end.
process.on('SIGINT', () => {})
