/** How a partition stood at the end of a call, as every reading script reports it. */
export interface Outlook {
  /** Which ready lists have tasks: [high, medium, low]. */
  readonly levels: readonly [boolean, boolean, boolean]
  readonly paused: boolean
  /** Ms until the next scheduled task is due; 0 for now, undefined for none. */
  readonly scheduledInMs: number | undefined
  /** Ms until the next lease runs out; 0 for now, undefined for none. */
  readonly leaseInMs: number | undefined
  /** Ms until the next kept result expires; 0 for now, undefined for none. */
  readonly resultInMs: number | undefined
}

export function parseOutlook(reply: unknown): Outlook {
  const [levels, paused, scheduledInMs, leaseInMs, resultInMs = -1] = reply as [
    string,
    number,
    number,
    number,
    number | undefined,
  ]
  return {
    levels: [levels.includes('0'), levels.includes('1'), levels.includes('2')],
    paused: paused === 1,
    scheduledInMs: scheduledInMs < 0 ? undefined : scheduledInMs,
    leaseInMs: leaseInMs < 0 ? undefined : leaseInMs,
    resultInMs: resultInMs < 0 ? undefined : resultInMs,
  }
}
