import type { Entry } from '../ledger/index.js'
import type { QueueUnderTest } from './queue-under-test.js'
import type { ClientTimes, FailoverTimes, ShardRate, Stall } from './report.js'
import type { ServerSightings } from './server-log.js'
import { endOfSilence, longestSilence } from './silence.js'

/** When things happened, in ms of the ledger's clock. */
export interface Moments {
  /** The load had settled, and the backlog was not yet enqueued. */
  readonly steady: { readonly fromMs: number; readonly toMs: number }
  /** The first deed of the fault; before the strike only in `replica-lag`. */
  readonly firstDeedMs: number
  readonly strikeMs: number
  /** The last of the backlog fell due: what a promoted master without a replica has to hand out, for it gets no more. */
  readonly fedUntilMs: number
  readonly failedMs: number | null
  readonly promotedMs: number | null
  readonly wholeMs: number | null
  /** The load ended. */
  readonly endMs: number
}

const between = (fromMs: number | null, toMs: number | null) =>
  fromMs === null || toMs === null ? null : Math.max(0, Math.round(toMs - fromMs))

export function failoverTimes({ strikeMs, failedMs, promotedMs }: Moments): FailoverTimes {
  return {
    detectionMs: between(strikeMs, failedMs),
    electionMs: between(failedMs, promotedMs),
    promotionMs: between(strikeMs, promotedMs),
  }
}

export function serverTimes(
  { strikeMs }: Moments,
  { failedMs, electionMs, wonMs }: ServerSightings,
): FailoverTimes & { votingMs: number | null } {
  return {
    ...failoverTimes({ strikeMs, failedMs, promotedMs: wonMs } as Moments),
    votingMs: between(electionMs, wonMs),
  }
}

/** Time enough to hand out what fell due before the promotion. */
const WAITING_MS = 3_000

export function clientTimes(
  entries: readonly Entry[],
  moments: Moments,
  { keys, masterOf }: Pick<QueueUnderTest, 'keys' | 'masterOf'>,
  struckMaster: string,
): ClientTimes {
  const { strikeMs, endMs, fedUntilMs, promotedMs, wholeMs } = moments
  const struckKeys = new Set(keys.filter(({ struck }) => struck).map(({ key }) => key))
  const struckTokens = new Set<string>()
  const runs: number[] = []
  const keyed: number[] = []
  for (const entry of entries) {
    if (entry.what === 'enqueue' && struckKeys.has(entry.key ?? '')) struckTokens.add(entry.token)
    if (entry.what === 'run' && masterOf(entry.id) === struckMaster) runs.push(entry.atMs)
    if (entry.what === 'acknowledged' && struckTokens.has(entry.token)) keyed.push(entry.atMs)
  }
  // A promoted master that falls silent after its backlog has nothing left; no sign that it is out.
  const fedMs = promotedMs === null ? endMs : Math.min(endMs, Math.max(promotedMs + WAITING_MS, fedUntilMs))
  const runsAgain = endOfSilence(runs, strikeMs, fedMs)
  return {
    runsAgainMs: between(strikeMs, runsAgain),
    afterPromotionMs: between(promotedMs, runsAgain),
    keyedAcknowledgedMs: between(strikeMs, endOfSilence(keyed, strikeMs, endMs)),
    wholeMs: between(strikeMs, wholeMs),
  }
}

interface Enqueue {
  readonly fromMs: number
  readonly toMs: number
  readonly keyed: boolean
  readonly rejected: boolean
}

export function stall(entries: readonly Entry[], moments: Moments, limitMs: number): Stall {
  const fromMs = moments.firstDeedMs
  const toMs = moments.wholeMs ?? moments.endMs
  const during = enqueuesOf(entries).filter((each) => each.toMs >= fromMs && each.fromMs <= toMs)
  const plain = during.filter(({ keyed }) => !keyed)
  const withKey = during.filter(({ keyed }) => keyed)
  const acknowledged = entries.filter(({ what }) => what === 'acknowledged').map(({ atMs }) => atMs)
  const durations = plain.map((each) => each.toMs - each.fromMs).sort((a, b) => a - b)
  return {
    enqueues: plain.length,
    longestMs: Math.round(durations.at(-1) ?? 0),
    p99Ms: Math.round(durations[Math.floor(durations.length * 0.99)] ?? 0),
    limitMs,
    rejected: plain.filter(({ rejected }) => rejected).length,
    longestWithKeyMs: Math.round(withKey.reduce((most, each) => Math.max(most, each.toMs - each.fromMs), 0)),
    rejectedWithKey: withKey.filter(({ rejected }) => rejected).length,
    noneAcknowledgedMs: Math.round(longestSilence(acknowledged, fromMs, toMs)),
  }
}

/** Every enqueue that was answered; all were, or the load could not have been drained. */
function enqueuesOf(entries: readonly Entry[]): Enqueue[] {
  const open = new Map<string, { fromMs: number; keyed: boolean }>()
  const done: Enqueue[] = []
  for (const entry of entries) {
    if (entry.what === 'enqueue') {
      open.set(entry.token, { fromMs: entry.atMs, keyed: entry.key !== undefined })
    } else if (entry.what === 'acknowledged' || entry.what === 'rejected') {
      const begun = open.get(entry.token)
      if (begun) done.push({ ...begun, toMs: entry.atMs, rejected: entry.what === 'rejected' })
      open.delete(entry.token)
    }
  }
  // What nobody answered lasts until the account ends.
  const endMs = entries.at(-1)?.atMs ?? 0
  for (const begun of open.values()) done.push({ ...begun, toMs: endMs, rejected: true })
  return done
}

/** A promotion that is quicker than this has no rate of its own; then it is that until the cluster is whole. */
const LEAST_WINDOW_MS = 500

/** Per master as it was before: after a promotion, its shard is elsewhere, and has its own line all the same. */
export function shardRates(
  entries: readonly Entry[],
  { steady, strikeMs, promotedMs, wholeMs, endMs }: Moments,
  masterOf: (id: string) => string,
  masters: readonly string[],
  struckMaster: string,
): ShardRate[] {
  const acknowledged = entries.filter((entry) => entry.what === 'acknowledged')
  const perS = (master: string, fromMs: number, toMs: number) => {
    const own = acknowledged.filter(
      ({ atMs, id }) => fromMs <= atMs && atMs < toMs && masterOf(id) === master,
    )
    return toMs > fromMs ? Math.round((own.length * 1000) / (toMs - fromMs)) : 0
  }
  const outageMs = promotedMs === null ? null : promotedMs - strikeMs
  const untilMs = outageMs !== null && outageMs >= LEAST_WINDOW_MS ? strikeMs + outageMs : (wholeMs ?? endMs)
  return masters.map((master) => ({
    master,
    struck: master === struckMaster,
    beforePerS: perS(master, steady.fromMs, steady.toMs),
    duringPerS: perS(master, strikeMs, untilMs),
  }))
}

/** Rejected or refused, although it belonged to a shard that nobody struck. */
export function errorsElsewhere(
  entries: readonly Entry[],
  { keys, masterOf }: Pick<QueueUnderTest, 'keys' | 'masterOf'>,
  struckMaster: string,
): number {
  const elsewhere = new Set(keys.filter(({ struck }) => !struck).map(({ key }) => key))
  const tokens = new Set<string>()
  let errors = 0
  for (const entry of entries) {
    if (entry.what === 'enqueue' && elsewhere.has(entry.key ?? '')) tokens.add(entry.token)
    if (entry.what === 'rejected' && tokens.has(entry.token)) errors++
    if (entry.what === 'refused' && masterOf(entry.id) !== struckMaster) errors++
  }
  return errors
}
