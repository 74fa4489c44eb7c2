import { setTimeout as sleep } from 'node:timers/promises'
import { InterruptedError, NodeStartError, NodeUnreachableError, OperationLostError } from '../errors.js'
import { type LinkOptions, withLink } from '../link.js'
import type { Due } from '../owed/due.js'
import { noteOf } from '../owed/note-of.js'
import type { OwedNotes } from '../owed/notes.js'
import { toldTo } from '../owed/told.js'
import { hadForgotten } from '../owed/words.js'
import { parseClusterNodes, parseFields } from '../replies.js'
import { settingOf } from '../settings-read.js'
import { takeOver, windowMs } from '../take-over.js'
import { versionOf } from '../version.js'
import { waitUntilWhole } from '../whole.js'
import { hastenLink, prepareAbsence } from './absence.js'
import { payNote, settingsNoted, tellWhatIsLost } from './give-back.js'
import type { RestartHands } from './hands.js'
import { explainNoReturn, NOT_ENDED, notBack, RunsStill } from './no-return.js'
import type { RollNode, Standing } from './standing.js'
import type { RollStep } from './steps.js'
import { cannotFollow } from './upgrade.js'

export interface CarryOutOptions {
  readonly access: LinkOptions
  readonly hands: RestartHands
  readonly notes: OwedNotes
  /** Longest wait for a node to be back, and for the cluster to be whole again, in ms. */
  readonly timeoutMs: number
  /** What a node comes back with is right, and it is told nothing. */
  readonly acceptFiles: boolean
  readonly signal: AbortSignal | undefined
  /** Something that takes longer than it should, for the operator to read. */
  readonly onNote: (text: string) => void
  /** Called when the node is about to be stopped. */
  readonly onDown: (node: RollNode) => Promise<void>
}

const POLL_MS = 10
/** A request that was dropped is made again so often, after the time for which the replica may refuse it. */
const ATTEMPTS = 3
/** What is read of a node before and after may be long. */
export const ASK_MS = 5_000

/**
 * Does one step, and returns when the cluster is whole again: all views agree, every replica is linked, each shard has taken a
 * write that all its replicas have.
 * @returns what the node had been told at run time and had lost by its restart, which it was told again; and what it may have been told
 * @throws what stands in the way
 */
export async function carryOut(
  step: RollStep,
  standing: Standing,
  options: CarryOutOptions,
): Promise<Due | null> {
  if (step.kind === 'restart') return restart(step.node, standing, options)
  await handOver(step.to, standing, options)
  await whole(standing, options)
  return null
}

/** Nodes that join meanwhile are looked at before the next step, as all are. */
const whole = ({ nodes }: Standing, { access, timeoutMs, signal }: CarryOutOptions, writes = true) =>
  waitUntilWhole(nodes, access, { timeoutMs, signal, others: true, writes })

async function restart(node: RollNode, standing: Standing, options: CarryOutOptions): Promise<Due | null> {
  const { access, hands, notes, signal } = options
  const patient = { ...access, timeoutMs: ASK_MS }
  const told = node.up ? await withLink(node, patient, toldTo) : null
  const defaults = node.up ? await hands.defaults(node) : null
  const master = standing.shards.find(({ replicas }) => replicas.some(({ id }) => id === node.id))?.master
  if (master && node.up) await prepareAbsence(node, master, access, signal)
  await options.onDown(node)
  if (told) await notes.write(noteOf(node, told, defaults, 'rolling-restart'))
  if (node.up) await expectReplaceable(node, options)
  // What restarts it is no command of ours to a node, and passes no other fence.
  access.mayCall?.()
  const explained = async (error: Error) => {
    if (error instanceof InterruptedError || error instanceof OperationLostError) return error
    return explainNoReturn(error, {
      node,
      words: hands.words(node),
      master,
      config: told?.config ?? (await settingsNoted(node, notes)),
    })
  }
  await hands.restart(node, signal).catch(async (error: Error) => {
    throw error instanceof NodeStartError ? await explained(error) : error
  })
  const server = await comeBack(node, options).catch(async (error: Error) => {
    throw await explained(error)
  })
  // Before the cluster is whole: without what it was told, it may never be.
  const due = await (told
    ? tellWhatIsLost(node, server, told, defaults, options)
    : payNote(node, standing, options))
  // Else `fix` is to say it, as after any other operation.
  if (!due || due.unknown.length === 0) await notes.clear({ kind: 'restarted', id: node.id })
  // It is only to be quick: whether the link is good is looked at in any case.
  if (master) await hastenLink(node, master, access).catch(() => {})
  const problem = node.server && cannotFollow(node.server, server)
  if (problem) throw new Error(`${node.name} came back as another server: ${problem}`)
  await whole(standing, options).catch((error: Error) => {
    // What it was not told may be why.
    const isOther = error instanceof InterruptedError || error instanceof OperationLostError
    if (!due || due.unknown.length === 0 || isOther) throw error
    throw new Error(`${error.message}; ${hadForgotten(node.name, due)}`, { cause: error })
  })
  return due
}

/**
 * What was looked at may be minutes ago. One that has slots by now has taken the place of its master, and nobody else may have its data.
 * @throws Error when it is another process, or has slots
 */
async function expectReplaceable(node: RollNode, { access }: CarryOutOptions): Promise<void> {
  await withLink(node, { ...access, timeoutMs: ASK_MS }, async (link) => {
    const [view, info] = await Promise.all([link.text('CLUSTER', 'NODES'), link.text('INFO', 'server')])
    const self = parseClusterNodes(view, node.host).find(({ myself }) => myself)
    if (self?.id !== node.id || parseFields(info).get('run_id') !== node.runId)
      throw new Error(`${node.name} is another process than a moment ago`)
    if (self.slots.length > 0) throw new Error(`${node.name} has become a master with slots meanwhile`)
  })
}

/** Waits until another process answers in its place, and has loaded its data. */
async function comeBack(node: RollNode, { access, hands, timeoutMs, signal }: CarryOutOptions) {
  const deadline = performance.now() + timeoutMs
  let seen = 'it does not answer'
  let runs = false
  while (performance.now() < deadline) {
    try {
      const info = parseFields(await withLink(node, access, (link) => link.text('INFO', 'everything')))
      runs = true
      if (info.get('run_id') === node.runId) seen = NOT_ENDED
      else if (info.get('loading') !== '0')
        seen = `it is loading its data (${info.get('loading_loaded_perc')} %)`
      else return versionOf(info)
    } catch (error) {
      seen = (error as Error).message
      runs = false
      const fault = await hands.ended(node)
      if (fault) throw fault
    }
    // Not before it was asked: one that is back is told again what it has lost.
    if (signal?.aborted) throw new InterruptedError('waiting for a node')
    await sleep(POLL_MS)
  }
  throw runs ? new RunsStill(seen, node, timeoutMs) : new Error(notBack(node.name, timeoutMs, seen))
}

/**
 * Confirmed by ROLE, and asked for again where it was dropped. What the replica may have been elected for just now is no secret to
 * it alone, so that the wait is the longest for which it can refuse.
 */
async function handOver(to: RollNode, standing: Standing, options: CarryOutOptions): Promise<void> {
  const { access, signal, onNote } = options
  for (let attempt = 1; ; attempt++) {
    if (await takeOver(to, access, signal)) return
    if (attempt === ATTEMPTS)
      throw new Error(`${to.name} answered OK ${ATTEMPTS} times and did not take over; see its log`)
    const waitMs = windowMs(await nodeTimeoutMs(to, access))
    onNote(`${to.name} answered OK and did not take over; asked again in ${waitMs / 1000} s`)
    await sleep(waitMs, undefined, { signal }).catch(() => {
      throw new InterruptedError('waiting for a failover')
    })
    await whole(standing, options, false)
  }
}

/** What Redis takes where nothing is set. */
const DEFAULT_NODE_TIMEOUT_MS = 15_000

async function nodeTimeoutMs(node: RollNode, access: LinkOptions): Promise<number> {
  return withLink(node, access, async (link) => {
    try {
      return Number(await settingOf(link, 'cluster-node-timeout')) || DEFAULT_NODE_TIMEOUT_MS
    } catch (error) {
      if (error instanceof NodeUnreachableError) throw error
      return DEFAULT_NODE_TIMEOUT_MS
    }
  })
}
