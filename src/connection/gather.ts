import type { ScriptCall } from '../scripts/script.js'
import type { Connection } from './connection.js'
import type { Node } from './node.js'
import { concernsTopology, faultOfReply } from './replies.js'
import type { Command } from './socket.js'

export interface Question<Value> {
  readonly slot: number
  /** One that only reads. */
  readonly call: ScriptCall<Value>
}

/**
 * Puts many questions at once, those to one master in one write. Each is put once, and one that is not answered, or by a
 * master that serves the slot no longer, is left out: whoever looks again and again can do without.
 * @param receive is told of each answer as it comes, by the place of its question
 */
export async function gather<Value>(
  connection: Connection,
  questions: readonly Question<Value>[],
  timeoutMs: number,
  receive: (index: number, value: Value, node: Node) => void,
): Promise<void> {
  const byMaster = new Map<Node, number[]>()
  questions.forEach(({ slot }, index) => {
    const master = connection.topology.ownerOf(slot)
    if (!master) return
    const asked = byMaster.get(master)
    if (asked) asked.push(index)
    else byMaster.set(master, [index])
  })
  const ask = async (node: Node, asked: readonly number[], loads: boolean): Promise<void> => {
    const commands = asked.flatMap((index, i) => commandOf(questions[index], loads && i === 0))
    const outcome = await node.send('inspect', 0, commands, timeoutMs)
    if (!outcome.ok) return
    const unknown: number[] = []
    asked.forEach((index, i) => {
      const reply = outcome.replies[i]
      const question = questions[index]
      if (question && !(reply instanceof Error)) {
        receive(index, question.call.parse(reply), node)
        return
      }
      const fault = faultOfReply(reply as Error)
      if (fault.kind === 'noscript' && !loads) unknown.push(index)
      else if (concernsTopology(fault)) connection.topology.look(node)
    })
    // The first of them brings the script along, and the others find it there.
    if (unknown.length > 0) await ask(node, unknown, true)
  }
  await Promise.all([...byMaster].map(([node, asked]) => ask(node, asked, false)))
}

function commandOf<Value>(question: Question<Value> | undefined, loads: boolean): Command[] {
  if (!question) return []
  const { script, keys, args } = question.call
  const [name, what] = loads ? (['EVAL_RO', script.source] as const) : (['EVALSHA_RO', script.sha] as const)
  return [[name, what, keys.length, ...keys, ...args]]
}
