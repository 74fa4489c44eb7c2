import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Address } from '../../../src/cluster/index.js'
import { forkBeside } from '../../helpers/fork.js'
import type { Work } from '../common/work.js'
import type { Choice } from './choose.js'
import type { Failure, FromOperator, OperatorTask } from './operator.js'

/** Until one that neither ends nor fails is ended; pauses come on top. */
const PATIENCE_MS = 180_000
const MOST_WORDS = 2_000

export type Ending =
  | { readonly end: 'done' }
  | ({ readonly end: 'failed' } & Failure)
  /** It ended without a word. */
  | { readonly end: 'crashed'; readonly message: string }

/**
 * @param onStep told of what happens, as it happens
 * @param ending when it fires, the process is killed
 */
export async function operate(
  { beginsMs, pauses, thinksMs, insists }: Choice,
  work: Work,
  seeds: readonly Address[],
  onStep: (step: string, nodes?: boolean) => void,
  ending: AbortSignal,
): Promise<Ending> {
  await sleep(beginsMs, undefined, { signal: ending })
  const task: OperatorTask = { work, seeds, thinksMs, insists }
  const child = forkBeside(import.meta.url, 'operator', task, { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
  const kill = () => void child.kill('SIGKILL')
  ending.addEventListener('abort', kill)
  let words = ''
  child.stderr?.on('data', (chunk) => {
    words = `${words}${chunk}`.slice(-MOST_WORDS)
  })
  let told: Ending | undefined
  child.on('message', (message: FromOperator) => {
    if (message.what === 'step') onStep(message.step, message.nodes)
    else if (message.what === 'done') told = { end: 'done' }
    else told = { ...message, end: 'failed' }
  })
  const over = new AbortController()
  const exit = once(child, 'exit').finally(() => over.abort())
  // Until then it only reads its own program.
  const begun = once(child, 'message', { signal: over.signal })
  const pausing = Promise.all(
    pauses.map(async ({ atMs, forMs }) => {
      await begun
      await sleep(atMs, undefined, { signal: over.signal })
      child.kill('SIGSTOP')
      onStep(`stands still for ${forMs} ms`)
      await sleep(forMs, undefined, { signal: over.signal })
      child.kill('SIGCONT')
      onStep('runs on')
    }),
  ).catch(unlessOver)
  begun.catch(unlessOver)
  const pausedMs = pauses.reduce((sum, { forMs }) => sum + forMs, 0)
  const late = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS + pausedMs)
  const [code, signal] = await exit
  clearTimeout(late)
  ending.removeEventListener('abort', kill)
  await pausing
  return told ?? { end: 'crashed', message: `ended with ${code ?? signal}: ${words}` }
}

function unlessOver(error: Error): void {
  if (error.name !== 'AbortError') throw error
}
