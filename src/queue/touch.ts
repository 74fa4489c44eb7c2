import { type AskedReplies, type Question, sendAndAsk } from '../connection/confirmation.js'
import type { Lane, Node } from '../connection/node.js'
import { faultOfReply } from '../connection/replies.js'
import type { Partition } from '../keys/partitions.js'
import { touchCommand } from '../scripts/touch.js'

/**
 * A write of our own with a question for its confirmation behind it. To whichever partition of the node takes it: one that is being moved
 * takes nothing for as long, and what is asked for concerns the node.
 * @param partitions of this node, the one to be tried first at the head
 */
export async function touch(
  node: Node,
  partitions: readonly Partition[],
  question: Question,
  /** `timeoutMs`: beside what the server takes for the question. */
  { lane, socket, timeoutMs }: { readonly lane: Lane; readonly socket: number; readonly timeoutMs: number },
): Promise<AskedReplies> {
  for (let next = 0; ; next++) {
    const { keys } = partitions[next] as Partition
    const outcome = await sendAndAsk([touchCommand(keys)], question, (commands, waitMs) =>
      node.send(lane, socket, commands, timeoutMs + waitMs),
    )
    if (!outcome.ok || !isClosed(outcome.replies[0]) || next === partitions.length - 1) return outcome
  }
}

function isClosed(reply: unknown): boolean {
  if (!(reply instanceof Error)) return false
  const { kind } = faultOfReply(reply)
  return kind === 'tryagain' || kind === 'ask'
}
