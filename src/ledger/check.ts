import type { Entry } from './entry.js'

/** Why a task was run again, other than to be tried again. The last one is never right. */
export type Reason =
  /** The process that ran it first was killed or frozen. */
  | 'worker stopped'
  /** Its first run was in flight (not yet confirmed as completed) when a master was struck. */
  | 'delivery in flight'
  /** Its enqueue was in flight when a master was struck, so that there may be two copies. Never with a key. */
  | 'enqueue in flight'
  /**
   * It was being run when its producer took it back, since no replica confirmed it in time. The record shows that: it ran under an id
   * that it does not have any more, and before the enqueue was acknowledged under the new one, or a moment after. Never with a key.
   */
  | 'taken back while running'
  /**
   * It was taken back, and its master was struck before a replica had heard of that: the one that was promoted has the copy still. The
   * record shows that: it ran under an id that it does not have any more, after a master was struck. Never with a key.
   */
  | 'take-back lost with its master'
  | 'unexplained'

export interface Repeat {
  readonly token: string
  readonly keyed: boolean
  readonly reason: Reason
  /** The fault that is the reason, where one is. */
  readonly fault?: string
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
  /**
   * Acknowledged, and none of these: a completion that was accepted, a dead letter, removed on request, still in the queue (`held`).
   * That it ran is not enough. A run of which nobody heard the end may have been completed where the record shows why nobody did:
   * its worker was stopped, a master was struck, or the queue said that it has the completion and no replica confirms it.
   */
  readonly lost: readonly string[]
  /** Tokens with two acknowledgements or ids, and ids given to two tokens. */
  readonly acknowledgedTwice: readonly string[]
  readonly repeats: readonly Repeat[]
  /**
   * Tokens of which two runs went on at the same time, and nothing in the record says why: of those with a key any two, of others two first
   * attempts.
   */
  readonly atOnce: readonly string[]
  /** Tokens whose completion was accepted twice although nothing was in flight: fencing failed. */
  readonly completedTwice: readonly string[]
  readonly faults: readonly FaultFindings[]
}

/** After a step, what was begun within so many ms and took longer than SLOW_MS was in flight there too. */
const GRACE_MS = 2_000
const SLOW_MS = 50
/**
 * Most ms from when a server hands a task out to the first line of its handler, on a busy machine: its reply may come too late for the
 * take that asked, and then waits up to 100 ms for the next.
 */
const HANDED_MS = 150
/** A step is written down when it is done, which takes up to so many ms: what ended meanwhile was in flight when it struck. */
const DEED_MS = 50
/** A process is noted as stopped just before its fault is. */
const STOP_MS = 1_000
/** How an error is called that says: the queue has it, and no replica confirms it. */
const UNCONFIRMED = 'NotReplicatedError'
/**
 * Ms after which nobody is at it any more of whom nothing was heard since: a completion is told to a master for a minute, or the lease's
 * length, and confirmed for as long again. In a storm or a drill no handler takes longer, nor does any lease.
 */
const OPEN_MS = 120_000
/** What is written down first may stand so many ms after its effect: all write by one clock, which is read in fractions of a ms. */
const CLOCK_MS = 1

interface Interval {
  readonly by: string
  readonly fromMs: number
  toMs: number
}

interface Run extends Interval {
  readonly id: string
  readonly attempt: number | undefined
  readonly number: number | undefined
  /** When its handler ended, well or not. */
  ranMs: number | undefined
  threwMs: number | undefined
  end: 'completed' | 'refused' | 'failed' | 'dead' | 'released' | undefined
  /** Of a refusal. */
  error: string | undefined
}

interface Story {
  readonly token: string
  keyed: boolean
  readonly enqueues: Interval[]
  readonly ids: string[]
  acknowledgedMs: number
  rejected: boolean
  removed: boolean
  readonly runs: Run[]
}

/**
 * Reads the entries of all processes together.
 * @param held tokens of the tasks that the queue holds in the end, each in exactly one place (queue/verify.ts)
 * @returns facts only; what is allowed is for the caller to say
 */
export function check(entries: readonly Entry[], held: ReadonlySet<string> = new Set()): Findings {
  const ordered = [...entries].sort((a, b) => a.atMs - b.atMs)
  const stops = stopsOf(ordered)
  const stories = [...tell(ordered).values()]
  for (const story of stories) endOpen(story, stops)
  const faults = faultsOf(ordered)
  const repeats: Repeat[] = []
  const perFault = new Map(faults.map((fault) => [fault, 0]))
  for (const story of stories) {
    for (const [i, earlier] of story.runs.slice(0, -1).entries()) {
      const next = story.runs[i + 1] as Run
      if (isTriedAgain(earlier, next, faults, stops)) continue
      const { reason, fault } = explain(story, earlier, next, faults, stops)
      repeats.push({
        token: story.token,
        keyed: story.keyed,
        reason,
        ...(fault ? { fault: fault.name } : {}),
      })
      if (fault) perFault.set(fault, (perFault.get(fault) ?? 0) + 1)
    }
  }
  const unexplained = new Set(repeats.filter(({ reason }) => !isOfCopy(reason)).map(({ token }) => token))
  return {
    enqueued: stories.filter((story) => story.enqueues.length > 0).length,
    acknowledged: stories.filter((story) => story.ids.length > 0).length,
    rejected: stories.filter((story) => story.rejected).length,
    lost: stories
      .filter(({ token, ids }) => ids.length > 0 && !held.has(token))
      .filter((story) => !isAccountedFor(story, faults, stops))
      .map(({ token }) => token),
    acknowledgedTwice: acknowledgedTwice(stories),
    repeats,
    atOnce: stories.filter((story) => ranAtOnce(story, faults, stops)).map(({ token }) => token),
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

/**
 * As it should be: it was handed back, and runs at the same attempt; or it failed, and runs at the next, whether or not its worker heard that
 * this was taken. And that once its handler has ended.
 */
function isTriedAgain(earlier: Run, next: Run, faults: readonly Fault[], stops: readonly Stop[]): boolean {
  const back = earlier.end === 'released'
  if (!back && earlier.end !== 'failed' && (earlier.threwMs === undefined || earlier.end === 'dead'))
    return false
  const overMs = handledUntil(earlier)
  if (next.fromMs < overMs - CLOCK_MS) return false
  if (earlier.attempt === undefined || next.attempt === undefined) return true
  const due = earlier.attempt + (back ? 0 : 1)
  return next.attempt === due || (next.attempt > due && mayHaveRunOut(overMs, next.fromMs, faults, stops))
}

/** When its handler ended; a call may take its time until it is known that the queue has taken note. */
function handledUntil({ threwMs, ranMs, end, toMs }: Run): number {
  if (threwMs !== undefined) return threwMs
  // Such a result could not be stored, and so its task was made to fail.
  return end === 'failed' || end === 'dead' ? (ranMs ?? toMs) : toMs
}

/** Whether a lease may have run out in between of which no handler was begun: it uses up an attempt that nobody writes down. */
function mayHaveRunOut(
  fromMs: number,
  toMs: number,
  faults: readonly Fault[],
  stops: readonly Stop[],
): boolean {
  const between = { by: '', fromMs, toMs }
  return (
    stops.some((stop) => overlaps(stop, between)) ||
    faults.some(({ strikes }) =>
      strikes.some(({ atMs, nodes }) => nodes && fromMs - GRACE_MS <= atMs && atMs <= toMs),
    )
  )
}

/** Nobody is at anything for ever: what no end was heard of ends with its process, or after a time in which it would have been heard. */
function endOpen({ enqueues, runs }: Story, stops: readonly Stop[]): void {
  for (const open of [...enqueues, ...runs]) {
    if (open.toMs !== Number.POSITIVE_INFINITY) continue
    const killed = stops.find(({ by, toMs }) => by === open.by && toMs === Number.POSITIVE_INFINITY)
    const { ranMs, threwMs } = open as Partial<Run>
    const latestMs = (ranMs ?? threwMs ?? open.fromMs) + OPEN_MS
    open.toMs = Math.max(open.fromMs, Math.min(latestMs, killed?.fromMs ?? latestMs))
  }
}

function tell(entries: readonly Entry[]): Map<string, Story> {
  const stories = new Map<string, Story>()
  const storyOf = (token: string): Story => {
    let story = stories.get(token)
    if (!story) {
      story = {
        ...{ token, keyed: false, enqueues: [], ids: [], runs: [], rejected: false, removed: false },
        acknowledgedMs: Number.POSITIVE_INFINITY,
      }
      stories.set(token, story)
    }
    return story
  }
  for (const entry of entries) {
    if (!('token' in entry)) continue
    const story = storyOf(entry.token)
    const { atMs, by } = entry
    const attempt = 'attempt' in entry ? entry.attempt : undefined
    const number = 'run' in entry ? entry.run : undefined
    const open = story.runs.findLast(
      (run) =>
        run.by === by &&
        run.toMs === Number.POSITIVE_INFINITY &&
        (attempt === undefined || run.attempt === attempt) &&
        (number === undefined || run.number === number),
    )
    const enqueue = story.enqueues.at(-1)
    switch (entry.what) {
      case 'enqueue':
        story.keyed = entry.key !== undefined
        story.enqueues.push({ by, fromMs: atMs, toMs: Number.POSITIVE_INFINITY })
        break
      case 'acknowledged':
        story.ids.push(entry.id)
        story.acknowledgedMs = Math.min(story.acknowledgedMs, atMs)
        if (enqueue) enqueue.toMs = atMs
        break
      case 'rejected':
        story.rejected = true
        if (enqueue) enqueue.toMs = atMs
        break
      case 'run':
        story.runs.push({
          ...{ by, fromMs: atMs, toMs: Number.POSITIVE_INFINITY, ranMs: undefined, threwMs: undefined },
          ...{ id: entry.id, attempt: entry.attempt, number: entry.run, end: undefined, error: undefined },
        })
        break
      case 'ran':
        if (open) open.ranMs = atMs
        break
      case 'threw':
        if (open) open.threwMs ??= atMs
        break
      case 'removed':
        story.removed = true
        break
      case 'completed':
      case 'refused':
      case 'failed':
      case 'dead':
      case 'released':
        if (!open) break
        open.end = entry.what
        if (entry.what === 'refused') open.error = entry.error
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
      nodes &&
      ((fromMs <= atMs && atMs - DEED_MS <= toMs) || (within(fromMs, atMs) && toMs - fromMs > SLOW_MS)),
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
  next: Run,
  faults: readonly Fault[],
  stops: readonly Stop[],
): { reason: Reason; fault?: Fault | undefined } {
  const stop = stops.find((each) => heldBy(each, earlier))
  if (earlier.end !== 'completed' && stop) {
    return { reason: 'worker stopped', fault: faults.find((fault) => during(stop, fault)) }
  }
  const revived = revivedAfter(story, earlier, stops)
  if (revived) return { reason: 'worker stopped', fault: faults.find((fault) => during(revived, fault)) }
  const broken = faults.find((fault) => inFlight(earlier, fault))
  if (broken) return { reason: 'delivery in flight', fault: broken }
  const doubled = doubledBy(story, faults)
  if (doubled) return { reason: 'enqueue in flight', fault: doubled }
  if (takenBack(story, earlier) || takenBack(story, next)) return { reason: 'taken back while running' }
  const forgetful = takeBackLostBy(story, faults)
  if (forgetful) return { reason: 'take-back lost with its master', fault: forgetful }
  return { reason: 'unexplained' }
}

/**
 * The stop of a worker that had the task, ran it when it was resumed, under an attempt that was over by then, and was refused. It cannot
 * know in the very moment between its last look at the lease and the first line of the handler.
 */
function revivedAfter({ runs }: Story, earlier: Run, stops: readonly Stop[]): Stop | undefined {
  const late = runs.filter(
    ({ fromMs, end, attempt }) =>
      fromMs > earlier.fromMs && end === 'refused' && (attempt ?? 0) < (earlier.attempt ?? 0),
  )
  return stops.find((stop) =>
    late.some(({ by, fromMs }) => by === stop.by && fromMs >= stop.toMs && fromMs <= stop.toMs + STOP_MS),
  )
}

function isAccountedFor(story: Story, faults: readonly Fault[], stops: readonly Stop[]): boolean {
  if (story.removed) return true
  return story.runs.some((run) => {
    if (run.end === 'completed' || run.end === 'dead') return true
    if (run.end === 'failed' || run.end === 'released') return false
    if (run.end === 'refused' && run.error?.startsWith(UNCONFIRMED)) return true
    // Of its last words nobody heard whether they arrived. One that did not end would be tried again.
    const ran = run.ranMs !== undefined
    if (stops.some((stop) => heldBy(stop, run))) return ran
    return ran && faults.some((fault) => inFlight(run, fault))
  })
}

/**
 * Whether the run was that of a copy that was removed before the task was stored again, under another id: it had been handed out
 * before.
 */
function takenBack({ keyed, ids, acknowledgedMs }: Story, run: Run): boolean {
  return !keyed && ids.length > 0 && !ids.includes(run.id) && run.fromMs <= acknowledgedMs + HANDED_MS
}

/** The fault that struck a master between the enqueue and a run under an id that was given up. */
function takeBackLostBy({ keyed, ids, enqueues, runs }: Story, faults: readonly Fault[]): Fault | undefined {
  const since = enqueues[0]?.fromMs
  if (keyed || ids.length === 0 || since === undefined) return undefined
  const copies = runs.filter(({ id }) => !ids.includes(id))
  return faults.find(({ strikes }) =>
    strikes.some(({ atMs, nodes }) => nodes && copies.some(({ fromMs }) => since <= atMs && atMs <= fromMs)),
  )
}

/** Reasons by which a task has two copies, each of which may end, and be counted as ended, once. */
const OF_COPIES: readonly Reason[] = [
  'enqueue in flight',
  'taken back while running',
  'take-back lost with its master',
]
export const isOfCopy = (reason: Reason) => OF_COPIES.includes(reason)

/** Two runs that overlap; without a reason in the record the task was handed out twice. Without a key its copies may meet at later attempts. */
function ranAtOnce(story: Story, faults: readonly Fault[], stops: readonly Stop[]): boolean {
  const runs = story.keyed
    ? story.runs
    : story.runs.filter(({ attempt }) => attempt === undefined || attempt === 1)
  return runs.some((run, i) =>
    runs
      .slice(i + 1)
      .some(
        (next) =>
          next.fromMs < handledUntil(run) - CLOCK_MS &&
          explain(story, run, next, faults, stops).reason === 'unexplained',
      ),
  )
}

/**
 * Two runs were both accepted, and the earlier one was not in flight when a server was struck. One more is allowed where
 * an enqueue without a key was in flight: of two copies each is completed once.
 */
function completedByLate(story: Story, faults: readonly Fault[]): boolean {
  const earlier = story.runs.filter((run) => run.end === 'completed').slice(0, -1)
  const settled = earlier.filter((run) => !faults.some((fault) => inFlight(run, fault)))
  const doubled = doubledBy(story, faults) ?? takeBackLostBy(story, faults)
  const copies = doubled || story.runs.some((run) => takenBack(story, run)) ? 1 : 0
  return settled.length > copies
}

/** The fault that may have left two copies of the task. */
function doubledBy(story: Story, faults: readonly Fault[]): Fault | undefined {
  if (story.keyed) return undefined
  return faults.find((fault) => story.enqueues.some((each) => inFlight(each, fault)))
}

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
