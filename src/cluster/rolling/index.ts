/**
 * Restarts the nodes of a cluster one after the other, while it serves: replicas first, and each master only when a replica has
 * taken its place. How it goes on after each failure stands in docs/upgrading.md.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { InvalidOptionError } from '../../errors.js'
import { InterruptedError, RollingStoppedError } from '../errors.js'
import type { RedisServer } from '../find-server.js'
import type { Address } from '../link.js'
import { Observer } from '../observer.js'
import { type Deed, mustBeAgreed } from '../operation/agreed.js'
import { withOperation } from '../operation/index.js'
import { type Due, isNothing, namesIn } from '../owed/due.js'
import { OwedNotes } from '../owed/notes.js'
import { hadForgotten, settledText } from '../owed/words.js'
import { mustPermit } from '../permitted.js'
import { isSameVersion } from '../version.js'
import { carryOut } from './carry-out.js'
import { handsFor, serverFor } from './choose.js'
import type { RestartHands } from './hands.js'
import { LocalRestartHands } from './local-hands.js'
import { Once } from './once.js'
import { DEFAULTS, type PlannedRoll, type RollingOptions, type RollReport } from './options.js'
import {
  joinedSince,
  newRecord,
  type Record,
  RecordKeeper,
  takenUp,
  wasRestarted,
  withJoined,
} from './record.js'
import { obstacles, type RollNode, type Standing, standingOf } from './standing.js'
import { nextStep, positionOf, type RollStep, wholeWay } from './steps.js'
import { cannotFollow } from './upgrade.js'
import { type Written, writeDownAll } from './write-down.js'

export type { PlannedRoll, RollingOptions, RollProgress, RollReport } from './options.js'
export { describeRoll, type RollStep } from './steps.js'

const POLL_MS = 100

/**
 * Looks at a cluster and tells the whole way. Changes nothing until `run`.
 * @throws RollingStoppedError when the cluster is not in order; InvalidOptionError for a server that cannot carry on with the data,
 *   or when it is not told how nodes are restarted; what no node can be asked with
 */
export async function planRolling(
  seeds: readonly Address[],
  options: RollingOptions = {},
): Promise<PlannedRoll> {
  if (options.acceptFiles && options.rewrite)
    throw new InvalidOptionError(
      '--accept-files',
      'it goes without --rewrite, which keeps what nodes were told',
    )
  await mustPermit(seeds, options, 'cluster rolling-restart', ['CLUSTER FAILOVER'])
  const server = await serverFor(options)
  const roll = new Roll(seeds, options, server, await handsFor(options, server))
  try {
    return await roll.plan()
  } finally {
    roll.close()
  }
}

class Roll {
  readonly #observer: Observer
  readonly #keeper: RecordKeeper
  readonly #notes: OwedNotes

  constructor(
    private readonly seeds: readonly Address[],
    private readonly options: RollingOptions,
    private readonly server: RedisServer | null,
    private readonly hands: RestartHands,
  ) {
    this.#observer = new Observer(seeds, options)
    this.#keeper = new RecordKeeper(seeds, options)
    this.#notes = new OwedNotes(seeds, options)
  }

  close(): void {
    this.#observer.close()
    this.#keeper.close()
    this.#notes.close()
  }

  async plan(): Promise<PlannedRoll> {
    const { options, seeds, server, hands } = this
    const { record, standing } = await this.#begin(options.signal)
    const position = positionOf(standing, record, this.#isDone)
    const steps = wholeWay(position, record, options.restoreRoles ?? false)
    return {
      continues: record.kept ? record.since : null,
      server,
      nodes: standing.nodes,
      steps: steps.map((step) => ({ step, words: this.#words(step) })),
      run: ({ evenIfChanged = false } = {}) =>
        withOperation(seeds, options, { name: 'rolling-restart' }, options.signal, async (held) => {
          const roll = new Roll(seeds, { ...options, ...held }, server, hands)
          try {
            for (const each of held.settled) options.onProgress?.({ state: 'note', text: settledText(each) })
            for (const { what, why, remedy } of held.unpaid)
              options.onProgress?.({ state: 'note', text: `${what}: ${why}; ${remedy}` })
            if (options.acceptFiles) for (const { owed } of held.settled) await roll.#notes.clear(owed)
            return await roll.#run(held.signal, evenIfChanged ? null : standing)
          } finally {
            roll.close()
          }
        }),
    }
  }

  /** @param agreed what was looked at when somebody agreed; null: to whatever there is by now */
  async #run(signal: AbortSignal, agreed: Standing | null): Promise<RollReport> {
    const { options, hands } = this
    const begun = await this.#begin(signal)
    if (agreed) mustBeAgreed('rolling-restart', agreed.nodes.map(deedOf), begun.standing.nodes.map(deedOf))
    let { standing } = begun
    let record: Record = begun.record
    const steps: { step: RollStep; ms: number }[] = []
    await this.#keeper.write(record)
    if (options.rewrite) {
      record = { ...record, written: await this.#writeDown(standing, record) }
      await this.#keeper.write(record)
    }
    if (hands instanceof LocalRestartHands) await hands.rememberServer()
    const once = new Once(this.server)
    const report = (interrupted: boolean) => ({ steps, ...this.#tally(standing, record), interrupted })
    for (;;) {
      record = await this.#withJoined(record, standing, agreed !== null)
      const position = positionOf(standing, record, this.#isDone)
      const step = nextStep(position, record, options.restoreRoles ?? false)
      if (step === null) {
        await this.#keeper.clear()
        return report(false)
      }
      if (signal.aborted) return report(true)
      options.onProgress?.({ state: 'begun', step, words: this.#words(step) })
      const startedMs = performance.now()
      try {
        const lost = await this.#step(step, once, standing, record, signal, (next) => {
          record = next
        })
        const ms = Math.round(performance.now() - startedMs)
        steps.push({ step, ms })
        options.onProgress?.({ state: 'done', step, ms })
        standing = await this.#inOrder(record, signal)
        if (lost) throw this.#stopped(forgotten(step, lost), standing, record)
      } catch (error) {
        if (!(error instanceof InterruptedError)) throw error
        standing = standingOf(await this.#observer.observe())
        return report(true)
      }
    }
  }

  /** Nodes may be brought in by tools that take no lock. @throws RollingStoppedError where nobody has agreed to restart those */
  async #withJoined(record: Record, standing: Standing, isAgreed: boolean): Promise<Record> {
    const joined = joinedSince(record, standing)
    if (joined.length === 0) return record
    const next = withJoined(record, standing)
    const toRestart = joined.filter((node) => !this.#isDone(node, next))
    const unagreed = isAgreed ? toRestart : []
    if (unagreed.length > 0) {
      const problem = ({ name }: RollNode) =>
        `${name} has joined meanwhile, and nobody has agreed to restart it`
      throw this.#stopped(unagreed.map(problem), standing, record)
    }
    for (const { name } of toRestart)
      this.options.onProgress?.({
        state: 'note',
        text: `${name} has joined meanwhile, and is restarted, too`,
      })
    await this.#keeper.write(next)
    return next
  }

  /** All of them at once, and those that are done too: an earlier run may have told them again what they had forgotten. */
  async #writeDown(standing: Standing, record: Record): Promise<Written> {
    const onNote = (text: string) => this.options.onProgress?.({ state: 'note', text })
    try {
      return await writeDownAll(standing.nodes, record.written ?? {}, this.options, onNote)
    } catch (error) {
      throw this.#stopped([(error as Error).message], standing, record, error)
    }
  }

  /** @returns what the node had been told at run time and had lost; null: nothing */
  async #step(
    step: RollStep,
    once: Once,
    standing: Standing,
    record: Record,
    signal: AbortSignal,
    onRecord: (record: Record) => void,
  ): Promise<Due | null> {
    const { options, hands } = this
    const keep = async (next: Record) => {
      onRecord(next)
      await this.#keeper.write(next)
    }
    try {
      if (step.kind === 'restart') once.restarting(step.node)
      const lost = await carryOut(step, standing, {
        access: options,
        hands,
        notes: this.#notes,
        timeoutMs: options.comeBackMs ?? DEFAULTS.comeBackMs,
        acceptFiles: options.acceptFiles ?? false,
        signal,
        onNote: (text) => options.onProgress?.({ state: 'note', text }),
        onDown: ({ id }) => keep({ ...record, at: id }),
      })
      if (step.kind === 'restart') await keep({ ...record, at: null })
      return lost && !isNothing(lost) ? lost : null
    } catch (error) {
      if (error instanceof InterruptedError) throw error
      throw this.#stopped([(error as Error).message], standing, record, error)
    }
  }

  /** What is gone on with, or a new beginning, of a cluster that is in order. */
  async #begin(
    signal: AbortSignal | undefined,
  ): Promise<{ record: Record & { readonly kept: boolean }; standing: Standing }> {
    const kept = this.options.anew ? null : await this.#keeper.read()
    const redisPath = this.server?.path ?? null
    const goesOn = kept !== null && kept.redisPath === redisPath
    const standing = await this.#inOrder(goesOn ? kept : null, signal)
    this.#checkServer(standing)
    const record = goesOn ? takenUp(kept, standing) : null
    return { record: { ...(record ?? newRecord(standing, redisPath)), kept: record !== null }, standing }
  }

  /** Looks until nothing stands in the way of the next step. @throws RollingStoppedError with what does */
  async #inOrder(record: Record | null, signal: AbortSignal | undefined): Promise<Standing> {
    const deadline = performance.now() + (this.options.settleMs ?? DEFAULTS.settleMs)
    for (;;) {
      const standing = standingOf(await this.#observer.observe())
      const problems = obstacles(standing, record)
      if (problems.length === 0) return standing
      if (signal?.aborted) throw new InterruptedError('waiting for the cluster')
      if (performance.now() > deadline) throw this.#stopped(problems, standing, record)
      await sleep(POLL_MS)
    }
  }

  /** With a new server, who runs it; otherwise, who is another process than in the beginning. */
  readonly #isDone = (node: RollNode, record: Record): boolean => {
    const { server, executable } = node
    if (this.server === null) return wasRestarted(node, record)
    return isSameVersion(server, this.server) && (executable ?? this.server.path) === this.server.path
  }

  #checkServer({ nodes }: Standing): void {
    for (const node of nodes) {
      const problem = this.server && node.server && cannotFollow(node.server, this.server)
      if (problem) throw new InvalidOptionError('--redis-path', `${node.name}: ${problem}; nothing was done`)
    }
  }

  #words(step: RollStep): string {
    return step.kind === 'restart'
      ? this.hands.words(step.node)
      : `CLUSTER FAILOVER to ${step.to.name}, and wait until it is master and every node agrees`
  }

  #tally({ nodes }: Standing, record: Record | null): Pick<RollReport, 'done' | 'left'> {
    const isDone = (node: RollNode) => record !== null && this.#isDone(node, record)
    return {
      done: nodes.filter(isDone).map(({ name }) => name),
      left: nodes.filter((node) => !isDone(node)).map(({ name }) => name),
    }
  }

  #stopped(
    problems: readonly string[],
    standing: Standing,
    record: Record | null,
    cause?: unknown,
  ): RollingStoppedError {
    const { done, left } = this.#tally(standing, record)
    return new RollingStoppedError(problems, done, left, cause === undefined ? {} : { cause })
  }
}

/** In which order, and who takes over from whom, is chosen anew. */
const deedOf = ({ id, name }: RollNode): Deed => ({ id, what: `${name} would be restarted too` })

function forgotten(step: RollStep, lost: Due): string[] {
  const name = step.kind === 'restart' ? step.node.name : ''
  const { told, unknown } = namesIn(lost)
  const ways = [
    ...(told.length === 0 ? [] : ['go on with --rewrite, which has every node write down what it was told']),
    ...(unknown.length === 0 ? [] : ['go on with --accept-files, if it is right as nodes come back']),
  ]
  return [`${hadForgotten(name, lost)}: ${ways.join('; ')}`]
}
