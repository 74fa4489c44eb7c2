import type { NodeView } from '../cluster/index.js'
import type { DrillKind } from './options.js'

/** What can be done to a node. Whatever must be undone is entered with the drill's repairs before it is done. */
export interface Hands {
  /** What each deed will be, for the operator to read before they agree to it. */
  readonly words: Readonly<Record<'kill' | 'end' | 'start' | 'freeze' | 'resume', (node: NodeView) => string>>
  /** @throws DrillNotPermittedError when a server will not let us do what this kind needs */
  check(kind: DrillKind, nodes: readonly NodeView[]): Promise<void>
  /** Ends a node at once, as a crash would. */
  kill(node: NodeView): Promise<void>
  /** Ends a node in good order. */
  end(node: NodeView): Promise<void>
  /** Brings an ended node back. False when it did not come, and is not ours to start. */
  start(node: NodeView): Promise<boolean>
  /** Has a node answer nothing, until `resume`; on a host that is not ours for `forMs`, whatever comes. */
  freeze(node: NodeView, forMs: number): Promise<void>
  /** Resolves when the node runs on. */
  resume(node: NodeView): Promise<void>
}
