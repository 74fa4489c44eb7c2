import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Address, planFix } from '../../../src/cluster/index.js'
import { forkBeside } from '../../helpers/fork.js'
import { tell } from '../../helpers/nodes.js'
import type { Servers } from '../common/servers.js'
import type { Work } from '../common/work.js'
import { interrupt } from './interrupt.js'
import type { Scene } from './scene.js'
import type { Attempt } from './trials.js'
import type { Task, Told } from './victim.js'

/**
 * What happens before a call: the tool is killed; a node that slots come from or go to is killed; all connections of the node that
 * is called break; the tool stands still for longer than its lock holds, while somebody else mends the cluster and keys are written.
 */
export const KINDS = ['tool', 'source', 'target', 'link', 'pause'] as const
export type Kind = (typeof KINDS)[number]

/** Until an operation that neither ends nor fails is ended. */
const PATIENCE_MS = 90_000
/** The lock of an operation runs out after 20 s. */
const PAUSE_MS = 21_000

export interface Broken {
  /** Undefined: it made fewer calls than that. */
  readonly call: string | undefined
  /** How the operation ended: `done`, `killed`, or what it failed with. */
  readonly end: string
}

/** @returns of each call that the operation makes when nothing happens, its kind */
export async function callsOf(work: Work, seeds: readonly Address[]): Promise<readonly string[]> {
  const child = begin({ work, at: 0, seeds })
  let last: Told | undefined
  child.on('message', (told: Told) => {
    last = told
  })
  await ended(child)
  if (last?.what !== 'done') throw new Error(`${work.operation} did not end well: ${JSON.stringify(last)}`)
  return last.kinds
}

/** Kills the tool before the first call that begins so. */
export async function killAt(call: string, work: Work, seeds: readonly Address[]): Promise<void> {
  const child = begin({ work, at: call, seeds })
  let last: Told | undefined
  child.on('message', (told: Told) => {
    last = told
    if (told.what === 'at') child.kill('SIGKILL')
  })
  await ended(child)
  if (last?.what === 'at') return
  const end = last?.what === 'failed' ? last.why : last?.what
  throw new Error(`${work.operation} ended before a call ${call}: ${end}`)
}

export async function breakOff(
  kind: Kind,
  at: number,
  attempt: Attempt,
  servers: Servers,
  scene: Scene,
): Promise<Broken> {
  const child = begin({ work: attempt.work, at, seeds: servers.cluster.seeds })
  const exit = ended(child)
  let call: string | undefined
  let end = 'killed'
  let striking: Promise<void> | undefined
  child.on('message', (told: Told) => {
    if (told.what === 'done') end = 'done'
    if (told.what === 'failed') end = told.why
    if (told.what !== 'at') return
    call = `${told.node} ${told.call}`
    striking = strike(kind, child, told.node, attempt, servers, scene).then(() => {
      // It may have failed by itself meanwhile.
      if (child.connected) child.send('go', () => undefined)
    })
    // Awaited below.
    striking.catch(() => undefined)
  })
  const late = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS)
  await exit
  clearTimeout(late)
  await striking
  await servers.startAll()
  return { call, end }
}

async function strike(
  kind: Kind,
  child: ChildProcess,
  node: string,
  { work, source, target }: Attempt,
  servers: Servers,
  scene: Scene,
): Promise<void> {
  switch (kind) {
    case 'tool':
      child.kill('SIGKILL')
      return
    case 'link': {
      const port = Number(node.split(':').at(-1))
      // A server of the operation's own, which reads a backup for it.
      if (!servers.has(port)) return
      await tell(port, 'CLIENT', 'KILL', 'TYPE', 'normal')
      await tell(port, 'CLIENT', 'KILL', 'TYPE', 'replica')
      return
    }
    case 'pause': {
      child.kill('SIGSTOP')
      await sleep(PAUSE_MS)
      await (await planFix(servers.cluster.seeds)).run({ evenIfChanged: true })
      // Nobody is to write to a cluster that is being filled.
      if (work.operation !== 'restore') await scene.write()
      child.kill('SIGCONT')
      return
    }
    default: {
      const port = kind === 'source' ? source : target
      if (port !== undefined) await servers.kill(port)
    }
  }
}

/** With all that it has told: a long message may arrive after the process has ended. */
const ended = (child: ChildProcess) => Promise.all([once(child, 'exit'), once(child, 'disconnect')])

function begin(task: Task): ChildProcess {
  return forkBeside(import.meta.url, 'victim', task, {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
    signal: interrupt.signal,
    killSignal: 'SIGKILL',
  })
}
