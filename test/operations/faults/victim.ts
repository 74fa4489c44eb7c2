/**
 * A process that carries one operation out, and stops before its call number N until it is told to go on: `victim.ts JSON`. Calls are
 * counted where all of them go through, at the links to nodes, so every await of an operation is one of them.
 */
import { planFix, planRebalance } from '../../../src/cluster/index.js'
import { type Address, NodeLink, nameOf } from '../../../src/cluster/link.js'
import { moveSlots, Nodes, type Party } from '../../../src/cluster/move/index.js'

export interface Task {
  readonly operation: 'move' | 'fix' | 'rebalance'
  /** The call before which it stops; 0: none, they are only counted. */
  readonly at: number
  readonly seeds: readonly Address[]
  readonly move?: { readonly slots: readonly number[]; readonly from: Party; readonly to: Party }
  readonly masters?: readonly Party[]
  readonly weights?: Readonly<Record<string, number>>
}

export type Told =
  | { readonly what: 'at'; readonly node: string; readonly call: string }
  | { readonly what: 'done'; readonly calls: number }
  | { readonly what: 'failed'; readonly why: string; readonly calls: number }

const task = JSON.parse(process.argv[2] ?? '') as Task
let calls = 0
let gate: Promise<unknown> | undefined

async function beforeCall(node: string, command: string, args: readonly unknown[]): Promise<void> {
  if (++calls === task.at) {
    tell({ what: 'at', node, call: [command, ...args].join(' ').slice(0, 80).replaceAll('\n', ' ') })
    gate = new Promise((resolve) => process.once('message', resolve))
  }
  // Of those that are sent at once, the later ones do not overtake it.
  await gate
}

for (const name of ['reply', 'bytes'] as const) {
  const carryOut = NodeLink.prototype[name] as (...args: unknown[]) => Promise<unknown>
  NodeLink.prototype[name] = async function (this: NodeLink, command: string, ...args: never[]) {
    await beforeCall(nameOf(this.address), command, args)
    return carryOut.call(this, command, ...args)
  }
}

const OPERATIONS = {
  move: async () => {
    const nodes = new Nodes({})
    try {
      if (task.move) await moveSlots(nodes, task.move, task.masters ?? [])
    } finally {
      await nodes.close()
    }
  },
  fix: async () => (await planFix(task.seeds)).run(),
  rebalance: async () => (await planRebalance(task.seeds, { weights: task.weights ?? {} })).run(),
}

try {
  await OPERATIONS[task.operation]()
  tell({ what: 'done', calls })
} catch (error) {
  tell({ what: 'failed', why: (error as Error).message, calls })
}
process.disconnect?.()

function tell(told: Told): void {
  process.send?.(told)
}
