import type { BenchClient } from './client.js'

/** What one reading is about. Plain data: it travels to the process that takes the reading. */
export type Measure =
  | { readonly kind: 'enqueue-many'; readonly bytes: number; readonly tasks: number }
  | { readonly kind: 'enqueue'; readonly concurrency: number; readonly bytes: number; readonly tasks: number }
  | { readonly kind: 'process'; readonly concurrency: number; readonly bytes: number; readonly tasks: number }
  | { readonly kind: 'both'; readonly concurrency: number; readonly bytes: number; readonly tasks: number }
  /** As `both`, the handlers shared out among so many workers of the process. */
  | {
      readonly kind: 'workers'
      readonly workers: number
      readonly concurrency: number
      readonly bytes: number
      readonly tasks: number
    }
  /** As `enqueue-many` and then `process`, while so many others wait; the reading is of one of the two. */
  | {
      readonly kind: 'deep'
      readonly what: 'enqueue' | 'process'
      readonly waiting: number
      readonly concurrency: number
      readonly bytes: number
      readonly tasks: number
    }
  /** All tasks in one call: from an array that holds them, or made as they are asked for. */
  | {
      readonly kind: 'flood'
      readonly from: 'array' | 'generator'
      readonly bytes: number
      readonly tasks: number
    }
  /** So many workers that have nothing to do, for some seconds. */
  | { readonly kind: 'still'; readonly workers: number; readonly bytes: number; readonly tasks: number }
  /** A task every 20 ms to a queue that has nothing else to do. */
  | { readonly kind: 'idle'; readonly bytes: number; readonly tasks: number }

export interface Reading {
  readonly tasks: number
  readonly ms: number
  /** CPU time of the process, user and system, in microseconds per task. */
  readonly clientUs: number
  /** Of what the measure is about: a call, or enqueue to handler start. */
  readonly p50Ms: number | undefined
  readonly p99Ms: number | undefined
  /** Sockets of the process when it was over, and the most memory that it ever had, in MB. */
  readonly sockets: number
  readonly mostMb: number
}

/** Calls of a section that is measured; the parent looks at the servers before and after. */
export interface Stopwatch {
  begin(): Promise<void>
  end(): void
}

/** Tasks in a call for many, and such calls under way at once. */
const MANY = 1_000
const CALLS_AT_ONCE = 4
const IDLE_GAP_MS = 20
const IDLE_WARM_UP = 20
const STILL_MS = 5_000

/** Of the tasks of a reading, so many are done before it begins: code that is compiled, sockets that are open. */
const WARM_UP = 0.1

export async function take(measure: Measure, client: BenchClient, watch: Stopwatch): Promise<Reading> {
  const warmUp = Math.ceil(measure.tasks * WARM_UP)
  switch (measure.kind) {
    case 'enqueue-many':
      await feed(client, measure, warmUp)
      return timed(watch, async () => {
        await feed(client, measure, measure.tasks)
        return measure.tasks
      })
    case 'enqueue': {
      await callOneByOne(client, measure, warmUp, [])
      const latencies: number[] = []
      const reading = await timed(watch, async () => {
        await callOneByOne(client, measure, measure.tasks, latencies)
        return measure.tasks
      })
      return { ...reading, ...percentiles(latencies) }
    }
    case 'process':
      await feed(client, measure, warmUp + measure.tasks)
      return drain(await start(client, [measure.concurrency]), measure, warmUp, watch)
    case 'both': {
      const fed = feed(client, measure, warmUp + measure.tasks)
      const reading = await drain(await start(client, [measure.concurrency]), measure, warmUp, watch)
      await fed
      return reading
    }
    case 'workers': {
      // On an empty queue, or the first of them have done it all before the last is there.
      const progress = await start(client, shareOut(measure.concurrency, measure.workers))
      const fed = feed(client, measure, warmUp + measure.tasks)
      const reading = await drain(progress, measure, warmUp, watch)
      await fed
      return reading
    }
    case 'deep': {
      if (measure.what === 'process') {
        await feed(client, measure, measure.waiting + warmUp + measure.tasks)
        return drain(await start(client, [measure.concurrency]), measure, warmUp, watch)
      }
      await feed(client, measure, measure.waiting + warmUp)
      return timed(watch, async () => {
        await feed(client, measure, measure.tasks)
        return measure.tasks
      })
    }
    case 'flood': {
      const { enqueueAll } = client
      if (!enqueueAll) throw new Error('this queue has no call that takes tasks as it has room for them')
      const ready = measure.from === 'array' ? [...payloadsOf(measure)] : undefined
      return timed(watch, async () => {
        await (ready ? client.enqueueMany(ready) : enqueueAll(payloadsOf(measure)))
        return measure.tasks
      })
    }
    case 'still': {
      const idler = { concurrency: 10, onStart: () => {}, onDone: () => {} }
      for (let i = 0; i < measure.workers; i++) await client.work(idler)
      await new Promise((resolve) => setTimeout(resolve, STILL_MS))
      return timed(watch, async () => {
        await new Promise((resolve) => setTimeout(resolve, STILL_MS))
        return measure.tasks
      })
    }
    case 'idle':
      return idle(client, measure, watch)
  }
}

/** `run` resolves with the tasks that it was about. */
async function timed(watch: Stopwatch, run: () => Promise<number>): Promise<Reading> {
  await watch.begin()
  const cpu = process.cpuUsage()
  const startedMs = performance.now()
  const tasks = await run()
  const ms = performance.now() - startedMs
  const { user, system } = process.cpuUsage(cpu)
  watch.end()
  const sockets = process.getActiveResourcesInfo().filter((name) => name === 'TCPSocketWrap').length
  const mostMb = process.resourceUsage().maxRSS / 1_024
  return { tasks, ms, clientUs: (user + system) / tasks, p50Ms: undefined, p99Ms: undefined, sockets, mostMb }
}

async function feed(client: BenchClient, { bytes }: Measure, tasks: number): Promise<void> {
  const batch = Array.from({ length: MANY }, (_, i) => payloadOf(i, bytes))
  let left = tasks
  const send = async () => {
    while (left > 0) {
      const count = Math.min(left, MANY)
      left -= count
      await client.enqueueMany(count === MANY ? batch : batch.slice(0, count))
    }
  }
  await Promise.all(Array.from({ length: CALLS_AT_ONCE }, send))
}

async function callOneByOne(
  client: BenchClient,
  { concurrency, bytes }: Extract<Measure, { kind: 'enqueue' }>,
  tasks: number,
  latencies: number[],
): Promise<void> {
  let left = tasks
  const send = async () => {
    while (left-- > 0) {
      const calledMs = performance.now()
      await client.enqueue(payloadOf(left, bytes))
      latencies.push(performance.now() - calledMs)
    }
  }
  await Promise.all(Array.from({ length: concurrency }, send))
}

/** Tasks that are done, of all workers together. */
interface Progress {
  done(): number
  /** One caller at a time. */
  until(count: number): Promise<void>
}

/** A worker for each of the numbers of handlers. */
async function start(client: BenchClient, concurrencies: readonly number[]): Promise<Progress> {
  let done = 0
  let goal = Number.POSITIVE_INFINITY
  let reached = () => {}
  const onDone = () => {
    if (++done === goal) reached()
  }
  for (const concurrency of concurrencies) await client.work({ concurrency, onStart: () => {}, onDone })
  return {
    done: () => done,
    until: (count) =>
      new Promise((resolve) => {
        goal = count
        reached = resolve
        if (done >= count) resolve()
      }),
  }
}

/** Handlers for each worker, together exactly `handlers`. @throws RangeError where a worker would have none */
export function shareOut(handlers: number, workers: number): number[] {
  if (handlers < workers) throw new RangeError(`${handlers} handlers are too few for ${workers} workers`)
  return Array.from(
    { length: workers },
    (_, i) => Math.floor(((i + 1) * handlers) / workers) - Math.floor((i * handlers) / workers),
  )
}

/** From the moment when the tasks of the warm-up are done until all are. */
async function drain(
  progress: Progress,
  { tasks }: Measure,
  warmUp: number,
  watch: Stopwatch,
): Promise<Reading> {
  await progress.until(warmUp)
  return timed(watch, async () => {
    const before = progress.done()
    if (before >= warmUp + tasks)
      throw new Error(`${tasks} tasks are too few: all were done before the reading began`)
    await progress.until(warmUp + tasks)
    return progress.done() - before
  })
}

async function idle(client: BenchClient, { bytes, tasks }: Measure, watch: Stopwatch): Promise<Reading> {
  const calledAtMs = new Map<string, number>()
  const latencies: number[] = []
  let done = 0
  const onStart = (payload: string) => {
    const calledMs = calledAtMs.get(payload)
    if (calledMs !== undefined) latencies.push(performance.now() - calledMs)
  }
  await client.work({ concurrency: 10, onStart, onDone: () => done++ })
  const count = tasks + IDLE_WARM_UP
  const reading = await timed(watch, async () => {
    for (let i = 0; i < count; i++) {
      const payload = payloadOf(i, bytes)
      if (i >= IDLE_WARM_UP) calledAtMs.set(payload, performance.now())
      void client.enqueue(payload)
      await new Promise((resolve) => setTimeout(resolve, IDLE_GAP_MS))
    }
    while (done < count) await new Promise((resolve) => setTimeout(resolve, IDLE_GAP_MS))
    return count
  })
  return { ...reading, ...percentiles(latencies) }
}

function percentiles(values: readonly number[]): Pick<Reading, 'p50Ms' | 'p99Ms'> {
  const sorted = [...values].sort((a, b) => a - b)
  return { p50Ms: sorted[Math.floor(sorted.length * 0.5)], p99Ms: sorted[Math.floor(sorted.length * 0.99)] }
}

function* payloadsOf({ tasks, bytes }: Measure): Generator<string> {
  for (let i = 0; i < tasks; i++) yield payloadOf(i, bytes)
}

/** Exactly so many bytes, and another text for each number. */
export function payloadOf(number: number, bytes: number): string {
  return `${number}-`.padEnd(bytes, 'x')
}
