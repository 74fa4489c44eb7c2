import type { Partition } from '../../keys/partitions.js'
import { bundleOf, membersOf, sizeOf } from '../../scripts/bundles.js'
import {
  COMPARED_COUNTERS,
  type ComparedCounter,
  type Contents,
  type Section,
  type Snapshot,
  type Whereabouts,
} from '../../scripts/verify.js'
import type { Reader } from './reader.js'
import type { FaultKind, Findings } from './report.js'
import { classOf, Standings } from './standings.js'

export interface PartitionLimits {
  /** Names up to which a partition is read in one moment. About 1 ms of its master's time for each 1,000. */
  readonly snapshotNames: number
  /** Tasks that are counted at once, 18 bytes each. A partition with more is read several times. */
  readonly countedTasks: number
}

export const LIMITS: PartitionLimits = { snapshotNames: 2_000, countedTasks: 2_000_000 }

/** Most tasks of a partition that are looked at again by name. */
const MOST_SUSPECTS = 5_000
/** Most that are searched for in whole lists, in the end. */
const MOST_SEARCHES = 100
const MOST_PASSES = 4
const PER_CALL = 20
/** Entries at both ends of a list that are searched first: what moved meanwhile is there. */
const NEAR = 1_000
/** Entries of lists from which on names are not searched for in them before all else has been tried. */
const LONG_LISTS = 50_000

type Suspicion = 'nowhere' | 'twice'

interface Suspect {
  readonly id: string
  readonly suspicion: Suspicion
}

export interface PartitionFigures {
  readonly tasks: number
  readonly namesWithoutRecord: number
  /** Lease ids that have an entry in `leases`. */
  readonly leases: ReadonlySet<string>
  /** It holds more than can be read in one moment, and never stood still: its counters could not be compared. */
  readonly busy: boolean
}

interface Pass {
  tasks: number
  readonly suspects: Map<string, Suspicion>
  /** Suspects that were not kept. */
  dropped: number
  withoutRecord: number
  readonly bundled: [number, number, number, number]
  readonly leases: Set<string>
}

/** The checks of one partition. */
export class PartitionCheck {
  readonly #index: number

  constructor(
    private readonly partition: Partition,
    private readonly reader: Reader,
    private readonly faults: Findings,
    private readonly unsettled: Findings,
    private readonly limits: PartitionLimits,
    private readonly onTasks: (count: number) => void,
  ) {
    this.#index = partition.index
  }

  async run(): Promise<PartitionFigures> {
    const snapshot = await this.reader.snapshot(this.limits.snapshotNames)
    if (!snapshot.contents) return this.#inPages()
    await this.#recordsAreReadable()
    return this.#inOneMoment(snapshot, snapshot.contents)
  }

  // ---- all in one moment

  #inOneMoment(snapshot: Snapshot, contents: Contents): PartitionFigures {
    const { ready, tasks, scheduled, dead, errors, results, resultExpiry, leases, held } = contents
    const pass = newPass()
    const standings = new Standings()
    for (const [level, names] of ready.entries()) this.#stand(standings, pass, names, level, 1, 0)
    for (const names of held) this.#stand(standings, pass, names, 3, 1, 0)
    const isScheduled = new Set(scheduled)
    const isDead = new Set(dead)
    const hasRecord = new Set(tasks)
    for (const name of tasks) {
      const flags =
        (isScheduled.has(name) ? 1 : 0) +
        (isDead.has(name) ? 2 : 0) +
        (hasRecord.has(bundleOf(name) ?? '') ? 4 : 0)
      this.#record(standings, pass, name, flags, 1, 0)
    }
    this.onTasks(pass.tasks)
    for (const [id, suspicion] of pass.suspects) this.#fault(suspicion, [id])
    const exists = (id: string) => hasRecord.has(id) || hasRecord.has(bundleOf(id) ?? '')
    const unless = (kind: FaultKind, ids: readonly string[], holds: (id: string) => boolean) => {
      const wrong = ids.filter((id) => !holds(id))
      if (wrong.length > 0) this.#fault(kind, wrong)
    }
    const has = (names: readonly string[]) => {
      const all = new Set(names)
      return (id: string) => all.has(id)
    }
    unless('scheduled-without-record', scheduled, (id) => hasRecord.has(id))
    unless('dead-without-record', dead, (id) => hasRecord.has(id))
    unless('dead-without-error', dead, has(errors))
    unless('error-without-dead', errors, (id) => isDead.has(id))
    unless('attempts-without-record', contents.attempts, exists)
    unless('checkpoints-without-record', contents.checkpoints, exists)
    unless('result-without-expiry', results, has(resultExpiry))
    unless('expiry-without-result', resultExpiry, has(results))
    unless('lease-without-tasks', leases, (id) => (held[leases.indexOf(id)]?.length ?? 0) > 0)
    this.#compareBundled(snapshot, pass)
    this.#compareCounters(snapshot, pass)
    return {
      tasks: pass.tasks,
      namesWithoutRecord: standings.withoutRecord(),
      leases: new Set(leases),
      busy: false,
    }
  }

  // ---- page by page

  async #inPages(): Promise<PartitionFigures> {
    for (const section of SECTIONS) {
      for await (const { names, flags } of this.reader.pages(section)) {
        for (const [bit, kind] of FLAGS[section]) {
          const wrong = names.filter((_, i) => ((flags[i] ?? 0) & bit) !== 0)
          if (wrong.length > 0) this.#fault(kind, wrong)
        }
      }
    }
    let before: Pass | undefined
    for (let passes = 1; ; passes++) {
      const first = await this.reader.snapshot(0)
      const pass = await this.#pass(passes === 1)
      const last = await this.reader.snapshot(0)
      const quiet = isSame(first, last)
      if (quiet) {
        // Nothing was added, moved or completed meanwhile, so that the pages are as of one moment.
        this.#compareBundled(last, pass)
        this.#compareCounters(last, pass)
      }
      if (before && before.dropped === 0) {
        // What moved may look wrong once; what is wrong looks wrong each time.
        for (const id of pass.suspects.keys()) if (!before.suspects.has(id)) pass.suspects.delete(id)
      }
      const settled = quiet || (passes > 1 && pass.suspects.size === 0 && pass.dropped === 0)
      if (settled || passes === MOST_PASSES) {
        if (pass.dropped > 0) {
          const problem = `${pass.dropped} tasks moved that were too many to be followed`
          this.unsettled.add('nowhere', this.#index, [], problem)
        }
        await this.#settle([...pass.suspects].map(([id, suspicion]) => ({ id, suspicion })))
        return {
          tasks: pass.tasks,
          // Of a busy one, many are of tasks that were completed since the lists were read.
          namesWithoutRecord: quiet ? pass.withoutRecord : 0,
          leases: pass.leases,
          busy: !quiet,
        }
      }
      before = pass
    }
  }

  /** Reads lists, leases and records, in this order. What is moved meanwhile may look wrong. */
  async #pass(isFirst: boolean): Promise<Pass> {
    const pass = newPass()
    const { lengths, bundled } = await this.reader.snapshot(0)
    const standing = [...lengths.ready, ...bundled, lengths.tasks].reduce((sum, count) => sum + count, 0)
    const classes = Math.max(1, Math.ceil(standing / this.limits.countedTasks))
    for (let part = 0; part < classes; part++) {
      const standings = new Standings()
      for (const [level, key] of this.partition.keys.ready.entries()) {
        for await (const names of this.reader.listFromEnd(key))
          this.#stand(standings, pass, names, level, classes, part)
      }
      const read = new Set<string>()
      for await (const { names } of this.reader.pages('leases')) {
        for (const id of names) {
          // A page may have a lease that another had.
          if (read.has(id)) continue
          read.add(id)
          pass.leases.add(id)
          const seen = new Set<string>()
          for await (const page of this.reader.namesIn(id)) {
            const fresh = page.filter((name) => !seen.has(name))
            for (const name of fresh) seen.add(name)
            this.#stand(standings, pass, fresh, 3, classes, part)
          }
        }
      }
      // A hash that grows or shrinks while it is read may give the same name twice.
      const counted = new Standings()
      for await (const { names, flags } of this.reader.pages('tasks')) {
        const before = pass.tasks
        for (const [i, name] of names.entries())
          if (counted.stand(name, 'own')) this.#record(standings, pass, name, flags[i] ?? 0, classes, part)
        const unreadable = names.filter((_, i) => ((flags[i] ?? 0) & 8) !== 0)
        if (unreadable.length > 0 && part === 0) this.#fault('record-unreadable', unreadable)
        if (isFirst) this.onTasks(pass.tasks - before)
      }
      pass.withoutRecord += standings.withoutRecord()
    }
    return pass
  }

  #stand(
    standings: Standings,
    pass: Pass,
    names: readonly string[],
    place: number,
    classes: number,
    part: number,
  ): void {
    for (const name of names) {
      const size = sizeOf(name)
      const bundled = pass.bundled as number[]
      if (part === 0) bundled[place] = (bundled[place] ?? 0) + size - 1
      const by = size > 1 ? 'bundle' : 'own'
      for (const { id } of membersOf(name)) {
        if (classOf(id, classes) !== part) continue
        if (!standings.stand(id, by)) this.#suspect(pass, id, 'twice')
      }
    }
  }

  #record(
    standings: Standings,
    pass: Pass,
    name: string,
    flags: number,
    classes: number,
    part: number,
  ): void {
    const size = sizeOf(name)
    const elsewhere = ((flags & 1) !== 0 ? 1 : 0) + ((flags & 2) !== 0 ? 1 : 0)
    if (part === 0) pass.tasks += size
    if ((flags & 4) !== 0 && part === 0) this.#fault('record-twice', [name])
    for (const { id } of membersOf(name)) {
      if (classOf(id, classes) !== part) continue
      const { own, byBundle } = standings.record(id)
      const suspicion = suspicionOf(size > 1, own, byBundle, elsewhere)
      if (suspicion) this.#suspect(pass, id, suspicion)
    }
  }

  #suspect(pass: Pass, id: string, suspicion: Suspicion): void {
    if (pass.suspects.size < MOST_SUSPECTS || pass.suspects.has(id)) pass.suspects.set(id, suspicion)
    else pass.dropped++
  }

  /** Looks at suspects by name: what is found to be wrong in one moment is wrong. */
  async #settle(suspects: readonly Suspect[]): Promise<void> {
    const left: Suspect[] = []
    for (let at = 0; at < suspects.length; at += PER_CALL) {
      const some = suspects.slice(at, at + PER_CALL)
      const { found } = await this.reader.locate(
        some.map(({ id }) => id),
        NEAR,
      )
      left.push(...some.filter(({ suspicion }, i) => mayStillBe(suspicion, found[i])))
    }
    if (left.length === 0) return
    const { lengths } = await this.reader.snapshot(0)
    const entries = lengths.ready.reduce((sum, length) => sum + length, 0)
    const most = entries > LONG_LISTS ? MOST_SEARCHES : MOST_SUSPECTS
    const perCall = Math.max(1, Math.min(PER_CALL, Math.floor(LONG_LISTS / (entries + 1))))
    for (let at = 0; at < Math.min(most, left.length); at += perCall) {
      const some = left.slice(at, at + perCall)
      const { whole, found } = await this.reader.locate(
        some.map(({ id }) => id),
        0,
      )
      for (const [i, { id, suspicion }] of some.entries()) {
        const where = found[i]
        const wrong = where ? suspicionOfWhole(where) : suspicion
        if (wrong) this.#fault(wrong, [id], whole ? this.faults : this.unsettled)
      }
    }
    for (const { id, suspicion } of left.slice(most)) this.#fault(suspicion, [id], this.unsettled)
  }

  async #recordsAreReadable(): Promise<void> {
    for await (const { names, flags } of this.reader.pages('tasks')) {
      const wrong = names.filter((_, i) => ((flags[i] ?? 0) & 8) !== 0)
      if (wrong.length > 0) this.#fault('record-unreadable', wrong)
    }
  }

  #compareBundled({ bundled }: Snapshot, { bundled: counted }: Pass): void {
    const places = ['high', 'medium', 'low', 'in leases']
    const wrong = places.flatMap((place, i) =>
      bundled[i] === counted[i] ? [] : [`${place} ${bundled[i]}, and should be ${counted[i]}`],
    )
    if (wrong.length > 0) this.faults.add('bundled-count', this.#index, [], wrong.join('; '))
  }

  #compareCounters({ counters }: Snapshot, { tasks }: Pass): void {
    const { enqueued, completed, removed, voided } = counters
    const should = enqueued - completed - removed - voided
    if (should === tasks) return
    this.faults.add(
      'counters',
      this.#index,
      [],
      `${enqueued} enqueued, ${completed} completed, ${removed} removed, ${voided} taken back: ` +
        `${should} should be there, and there are ${tasks}`,
    )
  }

  #fault(kind: FaultKind, names: readonly string[], to = this.faults): void {
    to.add(kind, this.#index, names)
  }
}

function newPass(): Pass {
  return {
    tasks: 0,
    suspects: new Map(),
    dropped: 0,
    withoutRecord: 0,
    bundled: [0, 0, 0, 0],
    leases: new Set(),
  }
}

const FLAGS: Readonly<
  Record<Exclude<Section, 'list' | 'lease' | 'tasks'>, readonly (readonly [number, FaultKind])[]>
> = {
  scheduled: [[1, 'scheduled-without-record']],
  dead: [
    [1, 'dead-without-record'],
    [2, 'dead-without-error'],
  ],
  errors: [[1, 'error-without-dead']],
  attempts: [[1, 'attempts-without-record']],
  checkpoints: [[1, 'checkpoints-without-record']],
  results: [[1, 'result-without-expiry']],
  expiry: [[1, 'expiry-without-result']],
  leases: [[1, 'lease-without-tasks']],
}

const SECTIONS = Object.keys(FLAGS) as (keyof typeof FLAGS)[]

/** By a look at the ends of lists only: it may show that a task has a place, and not that it has no second one. */
function mayStillBe(suspicion: Suspicion, found: Whereabouts | undefined): boolean {
  if (!found) return true
  if (!found.ownRecord && !found.bundleRecord) return false
  return suspicion === 'twice' || suspicionOfWhole(found) !== undefined
}

/**
 * Of a task that has a record. One whose record is in its bundle stands by the bundle's name only: by its own it would be
 * dropped when its turn comes, for want of a record.
 */
function suspicionOf(
  inBundle: boolean,
  own: number,
  byBundle: number,
  elsewhere: number,
): Suspicion | undefined {
  const places = own + byBundle + elsewhere
  if (places > 1) return 'twice'
  return places === 0 || (inBundle && byBundle === 0) ? 'nowhere' : undefined
}

function suspicionOfWhole(found: Whereabouts): Suspicion | undefined {
  const elsewhere = (found.scheduled ? 1 : 0) + (found.dead ? 1 : 0)
  if (found.ownRecord || found.bundleRecord)
    return suspicionOf(!found.ownRecord, found.own, found.byBundle, elsewhere)
  return found.own > 1 || found.byBundle > 1 ? 'twice' : undefined
}

function isSame(a: Snapshot, b: Snapshot): boolean {
  return (
    JSON.stringify([a.lengths, a.bundled]) === JSON.stringify([b.lengths, b.bundled]) &&
    COMPARED_COUNTERS.every((name: ComparedCounter) => a.counters[name] === b.counters[name])
  )
}
