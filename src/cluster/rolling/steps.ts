import type { Record } from './record.js'
import { owns, type RollNode, type RollShard, type Standing } from './standing.js'

/** One thing to do. Each is verified before the next, which is found by looking again. */
export type RollStep =
  /** A node that serves no slots: a replica, a master that was handed over, or one that is empty. */
  | { readonly kind: 'restart'; readonly node: RollNode; readonly down: boolean }
  /** A replica takes over from a master that has to be restarted. */
  | { readonly kind: 'hand-over'; readonly from: RollNode; readonly to: RollNode }
  /** A former master gets its shard again. */
  | { readonly kind: 'hand-back'; readonly from: RollNode; readonly to: RollNode }

/** What decides the next step; kept apart from how it was found out, so that the whole way can be told in advance. */
export interface Position {
  readonly shards: readonly RollShard[]
  readonly done: ReadonlySet<string>
  readonly down: ReadonlySet<string>
  /** Masters without slots. */
  readonly empty: ReadonlySet<string>
}

export function positionOf(
  { shards, nodes, picture }: Standing,
  record: Record,
  isDone: (node: RollNode, record: Record) => boolean,
): Position {
  return {
    shards,
    done: new Set(nodes.filter((node) => isDone(node, record)).map(({ id }) => id)),
    down: new Set(nodes.filter(({ up }) => !up).map(({ id }) => id)),
    empty: new Set(shards.filter(({ master }) => !owns(picture, master)).map(({ master }) => master.id)),
  }
}

/**
 * Replicas first, in all shards; then a master is handed over, which makes it a replica, and so next. The order is more than
 * caution: a newer server can follow an older one, but an older one cannot read what a newer one sends it.
 */
export function nextStep(
  { shards, done, down, empty }: Position,
  { masters }: Record,
  restoreRoles: boolean,
): RollStep | null {
  const idle = shards.flatMap(({ master, replicas }) =>
    empty.has(master.id) ? [...replicas, master] : replicas,
  )
  // What is down was under way.
  const waiting = idle.find(({ id }) => down.has(id)) ?? idle.find(({ id }) => !done.has(id))
  if (waiting) return { kind: 'restart', node: waiting, down: down.has(waiting.id) }
  for (const { master, replicas } of shards) {
    if (done.has(master.id) || empty.has(master.id)) continue
    const to = heir(replicas, shards)
    if (to) return { kind: 'hand-over', from: master, to }
  }
  if (!restoreRoles) return null
  for (const { master, replicas } of shards) {
    const to = replicas.find(({ id }) => masters.includes(id))
    if (!masters.includes(master.id) && to) return { kind: 'hand-back', from: master, to }
  }
  return null
}

/** The replica on the host with the fewest masters, so that they do not gather on one. */
function heir(replicas: readonly RollNode[], shards: readonly RollShard[]): RollNode | undefined {
  const load = ({ host }: RollNode) => shards.filter(({ master }) => master.host === host).length
  return [...replicas].sort((a, b) => load(a) - load(b))[0]
}

/** All steps from here, if nothing happens in between. */
export function wholeWay(position: Position, record: Record, restoreRoles: boolean): RollStep[] {
  const steps: RollStep[] = []
  let at = position
  for (;;) {
    const step = nextStep(at, record, restoreRoles)
    if (!step) return steps
    steps.push(step)
    at = after(at, step)
  }
}

function after(position: Position, step: RollStep): Position {
  if (step.kind === 'restart') {
    const down = new Set([...position.down].filter((id) => id !== step.node.id))
    return { ...position, down, done: new Set([...position.done, step.node.id]) }
  }
  const shards = position.shards.map((shard) =>
    shard.master.id === step.from.id
      ? {
          master: { ...step.to, role: 'master' as const },
          replicas: [
            ...shard.replicas.filter(({ id }) => id !== step.to.id),
            { ...step.from, role: 'replica' as const },
          ],
        }
      : shard,
  )
  return { ...position, shards }
}

/** One sentence for people. */
export function describeRoll(step: RollStep): string {
  switch (step.kind) {
    case 'restart':
      return `${step.down ? 'start' : 'restart'} ${step.node.role === 'replica' ? 'replica' : 'empty master'} ${step.node.name}`
    case 'hand-over':
      return `${step.to.name} takes over from ${step.from.name}`
    case 'hand-back':
      return `${step.to.name} gets its shard back from ${step.from.name}`
  }
}
