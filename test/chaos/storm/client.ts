/** A process that produces, or works, or both, and writes down all that happens to it. Forked by clients.ts. */
import { setTimeout as sleep } from 'node:timers/promises'
import { type QueueOptions, TaskQueue, Worker } from '../../../src/index.js'
import { FileBook } from '../../../src/ledger/index.js'
import type { ClientSpec, FromClient, ToClient } from './messages.js'
import { Random } from './random.js'
import { weaken } from './weaken.js'

interface Tasks {
  note: { readonly token: string }
}

const LOOSE_CALLERS = 16
const KEYED_CALLERS = 6
/** Ms that a caller rests after each task: what two cores carry beside six servers. */
const REST_MS = 50
/** Ms that a handler takes at most. */
const HANDLER_MS = 20
/** Share of the tasks that are due later, and how much later, in ms. */
const LATER_SHARE = 0.3
const LATER_MS = 2_000
/** Short, so that the tasks of a worker that was killed come back soon. */
const LEASE_MS = 3_000

let paused = true
let calls = 0

async function start(spec: ClientSpec): Promise<void> {
  weaken(spec.without)
  const book = new FileBook(spec.book, spec.name)
  const random = new Random(spec.seed)
  // A reply that is lost although the call was carried out is what sequence numbers are for.
  const impatient = spec.without === 'sequence' ? { commandTimeoutMs: 200 } : {}
  const options: QueueOptions = {
    connection: { ...spec.connection, ...impatient },
    ...(spec.without === 'wait' ? { durability: 'async' as const } : {}),
  }
  if (spec.works) await work(spec, options, book, random)
  if (spec.produces) await produce(spec, options, book, random)
}

async function work(spec: ClientSpec, options: QueueOptions, book: FileBook, random: Random): Promise<void> {
  const running = new Map<string, string>()
  const worker = new Worker<Tasks>(
    spec.queue,
    {
      note: async (task) => {
        const fact = { token: task.data.token, id: task.id }
        running.set(task.id, task.data.token)
        book.write({ what: 'run', ...fact })
        await sleep(random.between(0, HANDLER_MS))
        book.write({ what: 'ran', ...fact })
      },
    },
    { ...options, concurrency: 30, leaseMs: LEASE_MS },
  )
  worker.on('completed', ({ task }) => {
    running.delete(task.id)
    book.write({ what: 'completed', token: task.data.token, id: task.id })
  })
  worker.on('error', (error) => {
    // Of what cannot be completed the error names the task, some in a field and some in their words.
    for (const [id, token] of running) {
      if (!error.message.includes(`task ${id} `)) continue
      running.delete(id)
      book.write({ what: 'refused', token, id, error: error.name })
    }
  })
  await worker.start()
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
  const caller = async (key: string | undefined) => {
    for (;;) {
      await sleep(random.between(REST_MS / 2, REST_MS * 1.5))
      if (paused) continue
      const token = `${spec.name}-${count++}`
      calls++
      book.write({ what: 'enqueue', token, ...(key === undefined ? {} : { key }) })
      const stuck = spec.without === 'rerouting' ? { partitionKey: token } : {}
      const where = key === undefined ? stuck : { partitionKey: key }
      // So that every fault finds tasks waiting.
      const delayMs = random.next() < LATER_SHARE ? random.between(1, LATER_MS) : 0
      try {
        const id = await queue.enqueue('note', { token }, { ...where, delayMs })
        book.write({ what: 'acknowledged', token, id })
      } catch (error) {
        book.write({ what: 'rejected', token, error: (error as Error).message })
      }
      calls--
    }
  }
  for (let i = 0; i < LOOSE_CALLERS; i++) void caller(undefined)
  for (let i = 0; i < KEYED_CALLERS; i++) void caller(`${spec.name}-key-${i}`)
}

function tell(message: FromClient): void {
  if (process.connected) process.send?.(message)
}

async function quiet(): Promise<void> {
  while (paused && calls > 0) await sleep(10)
  if (paused) tell({ type: 'quiet' })
}

process.on('message', (message: ToClient) => {
  if (message.type === 'go') paused = false
  if (message.type === 'pause') {
    paused = true
    void quiet()
  }
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
