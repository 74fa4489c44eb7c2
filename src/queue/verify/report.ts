/** What can be wrong with how a queue is stored. Each is a sentence of docs/protocol.md, "Invariants". */
export type FaultKind =
  /** A task has its record, and no place: it will never be handed out. */
  | 'nowhere'
  /** A task stands in two places: it will be handed out twice. */
  | 'twice'
  | 'record-twice'
  | 'record-unreadable'
  | 'scheduled-without-record'
  | 'dead-without-record'
  | 'dead-without-error'
  | 'error-without-dead'
  | 'attempts-without-record'
  | 'checkpoints-without-record'
  | 'lease-without-tasks'
  | 'tasks-without-lease'
  | 'result-without-expiry'
  | 'expiry-without-result'
  | 'bundled-count'
  | 'counters'
  | 'unknown-key'
  | 'key-without-expiry'
  | 'partition-count'

export interface VerifyFault {
  readonly kind: FaultKind
  /** Index; null for what is of the whole queue. */
  readonly partition: number | null
  /** How many there are. */
  readonly count: number
  /** The first of them, at most `MOST_NAMES`: ids of tasks or leases, or keys. */
  readonly names: readonly string[]
  readonly text: string
}

export interface VerifyReport {
  readonly queue: string
  readonly partitions: number
  /** Tasks that are ready, being run, scheduled or dead. While the queue is busy, about so many. */
  readonly tasks: number
  /** Names in ready lists and leases of tasks that were removed. They are dropped when their turn comes, and are no fault. Of `busy` partitions none are counted. */
  readonly namesWithoutRecord: number
  /**
   * Partitions that hold more than can be read in one moment and never stood still, so that their counters, and what is counted of
   * bundles, could not be compared.
   */
  readonly busy: number
  /** Each was seen to be so at one moment. */
  readonly faults: readonly VerifyFault[]
  /** What looked wrong again and again, and could not be looked at in one moment while the queue is busy. */
  readonly unsettled: readonly VerifyFault[]
  /** There are neither faults nor anything unsettled. */
  readonly clean: boolean
}

export interface VerifyProgress {
  /** Index of the partition that is read, and how many there are. */
  readonly partition: number
  readonly partitions: number
  /** Tasks seen so far, in all partitions. */
  readonly tasks: number
}

export const MOST_NAMES = 20

const TEXTS: Readonly<Record<FaultKind, string>> = {
  nowhere: 'in no ready list, no lease, not scheduled and not dead: never handed out again',
  twice: 'in two places at once: handed out twice',
  'record-twice': 'with a record of its own and one in its bundle',
  'record-unreadable': 'with a record that cannot be read',
  'scheduled-without-record': 'scheduled, without a record',
  'dead-without-record': 'dead, without a record',
  'dead-without-error': 'dead, without an error',
  'error-without-dead': 'with an error, and not dead',
  'attempts-without-record': 'with attempts, and without a record',
  'checkpoints-without-record': 'with checkpoints, and without a record',
  'lease-without-tasks': 'a lease that holds nothing',
  'tasks-without-lease': 'tasks of a lease that never runs out',
  'result-without-expiry': 'a result that is never forgotten',
  'expiry-without-result': 'to be forgotten, without a result',
  'bundled-count': 'what bundles stand for is not as counted',
  counters: 'the counters do not add up',
  'unknown-key': 'a key that no part of the queue knows',
  'key-without-expiry': 'a key that should expire, and never does',
  'partition-count': 'the queue is recorded with another number of partitions',
}

/** A fault in one line, with the first names. */
export function describeFault({ partition, count, names, text }: VerifyFault): string {
  const where = partition === null ? '' : `partition ${partition}: `
  const many = names.length === 0 ? '' : `${count} × `
  const shown = names.slice(0, 5).join(', ') + (count > 5 && names.length > 0 ? ', …' : '')
  return `${where}${many}${text}${shown === '' ? '' : ` (${shown})`}`
}

/** What a report has against a queue that nobody uses at the moment, in lines; none if it is clean. */
export function problemsOf({ faults, unsettled }: VerifyReport): string[] {
  return [
    ...faults.map(describeFault),
    ...unsettled.map((fault) => `could not be settled while the queue is busy: ${describeFault(fault)}`),
  ]
}

/** Gathers faults of one kind and partition, with the first names only. */
export class Findings {
  readonly #found = new Map<string, { fault: VerifyFault; names: Set<string>; count: number }>()

  add(kind: FaultKind, partition: number | null, names: readonly string[] = [], detail?: string): void {
    const at = `${kind} ${partition}`
    let known = this.#found.get(at)
    if (!known) {
      const text = detail === undefined ? TEXTS[kind] : `${TEXTS[kind]}: ${detail}`
      known = { fault: { kind, partition, count: 0, names: [], text }, names: new Set(), count: 0 }
      this.#found.set(at, known)
    }
    for (const name of names) {
      // A page may come twice, so that a name is only new if it is not among those that are kept.
      if (known.names.has(name)) continue
      known.count++
      if (known.names.size < MOST_NAMES) known.names.add(name)
    }
    if (names.length === 0) known.count++
  }

  get list(): VerifyFault[] {
    return [...this.#found.values()].map(({ fault, names, count }) => ({
      ...fault,
      count,
      names: [...names],
    }))
  }
}
