/**
 * A process that carries one operation out, and stops before its call number N until it is told to go on: `victim.ts JSON`. Calls are
 * counted where all of them go through, at the links to nodes, so every await of an operation on a server is one of them.
 */
import { type Address, NodeLink, nameOf } from '../../../src/cluster/link.js'
import { carryOut, type Work } from '../common/work.js'
import { kindOf } from './calls.js'

export interface Task {
  readonly work: Work
  /** The call before which it stops, by its number or by what it begins with; 0: none, they are only counted. */
  readonly at: number | string
  readonly seeds: readonly Address[]
}

export type Told =
  | { readonly what: 'at'; readonly node: string; readonly call: string }
  /** Of each call in turn, its kind. */
  | { readonly what: 'done'; readonly kinds: readonly string[] }
  | { readonly what: 'failed'; readonly why: string }

const task = JSON.parse(process.argv[2] ?? '') as Task
const kinds: string[] = []
let gate: Promise<unknown> | undefined

async function beforeCall(node: string, command: string, args: readonly unknown[]): Promise<void> {
  kinds.push(kindOf(command, args))
  const call = [command, ...args].join(' ').slice(0, 80).replaceAll(/\s+/g, ' ')
  if (
    gate === undefined &&
    (typeof task.at === 'string' ? call.startsWith(task.at) : kinds.length === task.at)
  ) {
    void tell({ what: 'at', node, call })
    gate = new Promise((resolve) => process.once('message', resolve))
  }
  // Of those that are sent at once, the later ones do not overtake it.
  await gate
}

for (const name of ['reply', 'bytes'] as const) {
  const carryOutCall = NodeLink.prototype[name] as (...args: unknown[]) => Promise<unknown>
  NodeLink.prototype[name] = async function (this: NodeLink, command: string, ...args: never[]) {
    await beforeCall(nameOf(this.address), command, args)
    return carryOutCall.call(this, command, ...args)
  }
}

try {
  await carryOut(task.work, task.seeds)
  await tell({ what: 'done', kinds })
} catch (error) {
  await tell({ what: 'failed', why: `${(error as Error).name}: ${(error as Error).message}` })
}
process.disconnect?.()

/** A long message is not lost by whoever hangs up after it was sent. */
async function tell(told: Told): Promise<void> {
  await new Promise((resolve) => process.send?.(told, undefined, undefined, resolve))
}
