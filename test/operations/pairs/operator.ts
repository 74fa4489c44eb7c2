/**
 * A process in which one operator does one thing: `operator.ts JSON`. It tells its parent what it is about to do and how it ended; an error that
 * nobody waits for ends it without a word, which its parent takes for a fault.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { type Address, OperationInProgressError } from '../../../src/cluster/index.js'
import { ShardqError } from '../../../src/errors.js'
import { plan, SomethingLeft, type Work } from '../common/work.js'

export interface OperatorTask {
  readonly work: Work
  readonly seeds: readonly Address[]
  readonly thinksMs: number | null
  readonly insists: boolean
}

export type FromOperator =
  /** `nodes`: something is about to be done to a node that serves. */
  | { readonly what: 'step'; readonly step: string; readonly nodes: boolean }
  | { readonly what: 'done' }
  | ({ readonly what: 'failed' } & Failure)

export interface Failure {
  readonly name: string
  readonly message: string
  /** Of the errors that this library has for its callers; or a report of what is left. */
  readonly isTyped: boolean
  /** Of one that is not. */
  readonly stack: string | undefined
}

/** How often and for how long somebody tries again who has to wait. */
const AGAIN_MS = 4_000
const INSIST_MS = 45_000
/** For a command: the machine is busy with all of this, and so no node is taken for dead. */
const ACCESS = { timeoutMs: 5_000 }

const task = JSON.parse(process.argv[2] ?? '') as OperatorTask
const { thinksMs } = task

async function operate(): Promise<void> {
  const onStep = (step: string) => void tell({ what: 'step', step, nodes: true })
  const run = await plan(task.work, task.seeds, onStep, ACCESS)
  if (thinksMs !== null) {
    await tell({ what: 'step', step: 'has a plan', nodes: false })
    await sleep(thinksMs)
  }
  await run(thinksMs === null)
}

async function insist(): Promise<void> {
  const deadlineMs = performance.now() + INSIST_MS
  for (;;) {
    try {
      return await operate()
    } catch (error) {
      const mayTry = task.insists && performance.now() < deadlineMs
      if (!(error instanceof OperationInProgressError) || !mayTry) throw error
      await tell({ what: 'step', step: `told to wait: ${error.message.split('\n')[0]}`, nodes: false })
      await sleep(AGAIN_MS)
    }
  }
}

await tell({ what: 'step', step: 'begins', nodes: false })
try {
  await insist()
  await tell({ what: 'done' })
} catch (error) {
  const { name, message, stack } = error as Error
  const isTyped = error instanceof ShardqError || error instanceof SomethingLeft
  await tell({ what: 'failed', name, message, isTyped, stack: isTyped ? undefined : stack })
}
process.disconnect?.()

/** A long message is not lost by whoever hangs up after it was sent. */
async function tell(told: FromOperator): Promise<void> {
  await new Promise((resolve) => process.send?.(told, undefined, undefined, resolve))
}
