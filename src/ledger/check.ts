import type { Entry } from './entry.js'

/** Why a task was run again. The last one is never right. */
export type Reason =
  /** The process that ran it first was killed or frozen. */
  | 'worker stopped'
  /** Its first run was in flight (not yet confirmed as completed) when a fault struck. */
  | 'delivery in flight'
  /** Its enqueue was in flight when a fault struck, so that there may be two copies. Never with a key. */
  | 'enqueue in flight'
  /** No replica confirmed its enqueue in time, fault or not, and its first copy was being run. Never with a key. */
  | 'enqueue not confirmed in time'
  | 'unexplained'

export interface Repeat {
  readonly token: string
  readonly keyed: boolean
  readonly reason: Reason
}

/** What is known of one fault, from its first step until the cluster was whole again. */
export interface FaultFindings {
  readonly fault: string
  /** Enqueues and runs in flight when its steps struck a server, and runs of the workers that it stopped. */
  readonly inFlight: number
  /** Tasks run again because of it. */
  readonly repeats: number
  /** Enqueues without a key that were called meanwhile, of producers that were not stopped themselves. */
  readonly enqueues: number
  readonly rejected: number
  readonly p99Ms: number
  readonly longestMs: number
}

export interface Findings {
  readonly enqueued: number
  readonly acknowledged: number
  readonly rejected: number
  /** Acknowledged, and no handler ever ran it to the end. */
  readonly lost: readonly string[]
  /** Tokens with two acknowledgements or ids, and ids given to two tokens. */
  readonly acknowledgedTwice: readonly string[]
  readonly repeats: readonly Repeat[]
  /** Tokens whose completion was accepted twice although nothing was in flight: fencing failed. */
  readonly completedTwice: readonly string[]
  readonly faults: readonly FaultFindings[]
}

/** After a step, what was begun within so many ms and took longer than SLOW_MS was in flight there too. */
const GRACE_MS = 2_000
const SLOW_MS = 50
/** A process is noted as stopped just before its fault is. */
const STOP_MS = 1_000
/** What a replica is given to confirm (`confirmTimeoutMs`). */
const CONFIRM_MS = 100

interface Interval {
  readonly by: string
  readonly fromMs: number
  toMs: number
}

interface Run extends Interval {
  ran: boolean
  completed: boolean
}

interface Story {
  readonly token: string
  keyed: boolean
  readonly enqueues: Interval[]
  readonly ids: string[]
  rejected: boolean
  readonly runs: Run[]
}

/** Reads the entries of all processes together. @returns facts only; what is allowed is for the caller to say */
export function check(entries: readonly Entry[]): Findings {
  const ordered = [...entries].sort((a, b) => a.atMs - b.atMs)
  const stories = [...tell(ordered).values()]
  const stops = stopsOf(ordered)
  const faults = faultsOf(ordered)
  const repeats: Repeat[] = []
  const perFault = new Map(faults.map((fault) => [fault, 0]))
  for (const story of stories) {
    for (const earlier of story.runs.slice(0, -1)) {
      const { reason, fault } = explain(story, earlier, faults, stops)
      repeats.push({ token: story.token, keyed: story.keyed, reason })
      if (fault) perFault.set(fault, (perFault.get(fault) ?? 0) + 1)
    }
  }
  const unexplained = new Set(
    repeats.filter((each) => each.reason !== 'enqueue in flight').map((each) => each.token),
  )
  return {
    enqueued: stories.filter((story) => story.enqueues.length > 0).length,
    acknowledged: stories.filter((story) => story.ids.length > 0).length,
    rejected: stories.filter((story) => story.rejected).length,
    lost: stories
      .filter((story) => story.ids.length > 0 && !story.runs.some((run) => run.ran))
      .map((story) => story.token),
    acknowledgedTwice: acknowledgedTwice(stories),
    repeats,
    completedTwice: stories
      .filter((story) => unexplained.has(story.token) && completedByLate(story, faults))
      .map((story) => story.token),
    faults: faults.map((fault) => ({
      fault: fault.name,
      inFlight: countInFlight(stories, fault, stops),
      repeats: perFault.get(fault) ?? 0,
      ...enqueuesDuring(stories, fault, stops),
    })),
  }
}

function tell(entries: readonly Entry[]): Map<string, Story> {
  const stories = new Map<string, Story>()
  const storyOf = (token: string): Story => {
    let story = stories.get(token)
    if (!story) {
      story = { token, keyed: false, enqueues: [], ids: [], rejected: false, runs: [] }
      stories.set(token, story)
    }
    return story
  }
  for (const entry of entries) {
    if (!('token' in entry)) continue
    const story = storyOf(entry.token)
    const { atMs, by } = entry
    const open = story.runs.findLast((run) => run.by === by && run.toMs === Number.POSITIVE_INFINITY)
    const enqueue = story.enqueues.at(-1)
    switch (entry.what) {
      case 'enqueue':
        story.keyed = entry.key !== undefined
        story.enqueues.push({ by, fromMs: atMs, toMs: Number.POSITIVE_INFINITY })
        break
      case 'acknowledged':
        story.ids.push(entry.id)
        if (enqueue) enqueue.toMs = atMs
        break
      case 'rejected':
        story.rejected = true
        if (enqueue) enqueue.toMs = atMs
        break
      case 'run':
        story.runs.push({
          by,
          fromMs: atMs,
          toMs: Number.POSITIVE_INFINITY,
          ran: false,
          completed: false,
        })
        break
      case 'ran':
        if (open) open.ran = true
        break
      case 'completed':
      case 'refused':
        if (!open) break
        open.completed = entry.what === 'completed'
        open.toMs = atMs
        break
    }
  }
  return stories
}

interface Fault {
  readonly name: string
  readonly strikes: { readonly atMs: number; readonly nodes: boolean }[]
  untilMs: number
}

function faultsOf(entries: readonly Entry[]): Fault[] {
  const faults: Fault[] = []
  const under = (name: string) =>
    faults.findLast((fault) => fault.name === name && fault.untilMs === Number.POSITIVE_INFINITY)
  for (const entry of entries) {
    if (entry.what === 'fault') {
      const strike = { atMs: entry.atMs, nodes: entry.nodes }
      const known = under(entry.fault)
      if (known) known.strikes.push(strike)
      else faults.push({ name: entry.fault, strikes: [strike], untilMs: Number.POSITIVE_INFINITY })
    }
    if (entry.what === 'healthy') {
      const known = under(entry.fault)
      if (known) known.untilMs = entry.atMs
    }
  }
  return faults
}

function inFlight({ fromMs, toMs }: Interval, fault: Fault): boolean {
  return fault.strikes.some(
    ({ atMs, nodes }) =>
      nodes && ((fromMs <= atMs && atMs <= toMs) || (within(fromMs, atMs) && toMs - fromMs > SLOW_MS)),
  )
}

function countInFlight(stories: readonly Story[], fault: Fault, stops: readonly Stop[]): number {
  const stopped = stops.filter((stop) => during(stop, fault))
  const enqueues = stories.flatMap((story) => story.enqueues).filter((each) => inFlight(each, fault))
  const runs = stories
    .flatMap((story) => story.runs)
    .filter((run) => inFlight(run, fault) || stopped.some((stop) => heldBy(stop, run)))
  return enqueues.length + runs.length
}

const heldBy = (stop: Stop, run: Run) => stop.by === run.by && overlaps(run, stop)

function during(stop: Stop, fault: Fault): boolean {
  const fromMs = fault.strikes[0]?.atMs ?? Number.POSITIVE_INFINITY
  return stop.fromMs >= fromMs - STOP_MS && stop.fromMs <= fault.untilMs
}

const within = (fromMs: number, strikeMs: number) => strikeMs <= fromMs && fromMs <= strikeMs + GRACE_MS

function explain(
  story: Story,
  earlier: Run,
  faults: readonly Fault[],
  stops: readonly Stop[],
): { reason: Reason; fault?: Fault | undefined } {
  const stop = stops.find((each) => heldBy(each, earlier))
  if (!earlier.completed && stop) {
    return { reason: 'worker stopped', fault: faults.find((fault) => during(stop, fault)) }
  }
  const broken = faults.find((fault) => inFlight(earlier, fault))
  if (broken) return { reason: 'delivery in flight', fault: broken }
  const doubled = doubledBy(story, faults)
  if (doubled) return { reason: 'enqueue in flight', fault: doubled }
  if (tooLate(story)) return { reason: 'enqueue not confirmed in time' }
  return { reason: 'unexplained' }
}

/**
 * Two runs were both accepted, and the earlier one was not in flight when a server was struck. One more is allowed where
 * an enqueue without a key was in flight: of two copies each is completed once.
 */
function completedByLate(story: Story, faults: readonly Fault[]): boolean {
  const earlier = story.runs.filter((run) => run.completed).slice(0, -1)
  const settled = earlier.filter((run) => !faults.some((fault) => inFlight(run, fault)))
  return settled.length > (doubledBy(story, faults) || tooLate(story) ? 1 : 0)
}

/** The fault that may have left two copies of the task. */
function doubledBy(story: Story, faults: readonly Fault[]): Fault | undefined {
  if (story.keyed) return undefined
  return faults.find((fault) => story.enqueues.some((each) => inFlight(each, fault)))
}

const tooLate = ({ keyed, enqueues }: Story) =>
  !keyed && enqueues.some(({ fromMs, toMs }) => toMs - fromMs >= CONFIRM_MS)

function acknowledgedTwice(stories: readonly Story[]): string[] {
  const owners = new Map<string, string>()
  const twice = new Set<string>()
  for (const { token, ids } of stories) {
    if (ids.length > 1) twice.add(token)
    for (const id of ids) {
      if ((owners.get(id) ?? token) !== token) twice.add(token)
      owners.set(id, token)
    }
  }
  return [...twice]
}

interface Stop extends Interval {}

function stopsOf(entries: readonly Entry[]): Stop[] {
  const stops: Stop[] = []
  for (const entry of entries) {
    if (entry.what === 'stopped')
      stops.push({ by: entry.process, fromMs: entry.atMs, toMs: Number.POSITIVE_INFINITY })
    if (entry.what === 'resumed') {
      const stop = stops.findLast((each) => each.by === entry.process)
      if (stop) stop.toMs = entry.atMs
    }
  }
  return stops
}

const overlaps = (a: Interval, b: Interval) => a.fromMs <= b.toMs && b.fromMs <= a.toMs

function enqueuesDuring(
  stories: readonly Story[],
  fault: Fault,
  stops: readonly Stop[],
): Pick<FaultFindings, 'enqueues' | 'rejected' | 'p99Ms' | 'longestMs'> {
  const window = { by: '', fromMs: fault.strikes[0]?.atMs ?? 0, toMs: fault.untilMs }
  const durations: number[] = []
  let rejected = 0
  for (const story of stories) {
    if (story.keyed) continue
    for (const each of story.enqueues) {
      if (!overlaps(each, window)) continue
      if (stops.some((stop) => stop.by === each.by && overlaps(each, stop))) continue
      durations.push(Math.min(each.toMs, fault.untilMs) - each.fromMs)
      if (story.rejected) rejected++
    }
  }
  durations.sort((a, b) => a - b)
  return {
    enqueues: durations.length,
    rejected,
    p99Ms: durations[Math.floor(durations.length * 0.99)] ?? 0,
    longestMs: durations.at(-1) ?? 0,
  }
}
