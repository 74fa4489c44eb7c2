import { encodeRecord } from '../../src/queue/task.js'
import { unpack } from '../../src/scripts/strings.js'
import type { FakeNode, Received } from './fake-cluster.js'
import type { Reply } from './resp.js'

const NOTHING_LEFT = ['', 0, -1, -1] as const
const SOMETHING = ['1', 0, -1, -1] as const

/** Of a task of the type `note`, as a producer writes it. */
export function record(partitionKey?: string): string {
  return encodeRecord('"note"', '1', {
    priority: 'medium',
    delayMs: 0,
    maxAttempts: 4,
    backoff: { type: 'fixed', delayMs: 1 },
    timeoutMs: 300_000,
    partitionKey,
    idempotencyKey: undefined,
    metadata: undefined,
  })
}

/** Ids that an exchange acknowledges (layout: exchange.lua; no results). */
export function acknowledgedIn({ args }: Received): string[] {
  const ids: string[] = []
  for (let at = 8; at < args.length; at += 4) {
    ids.push(...unpack({ text: args[at + 2] ?? '', count: Number(args[at + 1]) }))
  }
  return ids
}

/** A node that has these tasks to give out, and knows who holds them: as much of a queue as these tests need. */
export class Giver {
  readonly held = new Set<string>()

  constructor(
    node: FakeNode,
    private readonly tasks: { id: string; record: string }[],
    /** May answer in place of the queue. */
    interfere: (call: Received) => ReturnType<FakeNode['script']> = () => undefined,
  ) {
    node.script = (call) => interfere(call) ?? this.answer(call)
  }

  answer(call: Received): Reply | undefined {
    if (call.script === 'tend') return [this.outlook, [], 0, Date.now()]
    if (call.script === 'release') {
      for (const id of call.args.slice(2)) this.tasks.unshift({ id, record: record('any') })
    }
    return call.script === 'exchange' ? this.exchange(call) : undefined
  }

  exchange(call: Received): Reply {
    const acknowledged = acknowledgedIn(call).map((id) => (this.held.delete(id) ? 1 : 2))
    const given = this.tasks.splice(0, Number(call.args[2]))
    for (const { id } of given) this.held.add(id)
    const [ids, records] = [given.map(({ id }) => id), given.map((task) => task.record)]
    return [acknowledged.join(''), ids, records, [], this.outlook]
  }

  get outlook(): Reply {
    return this.tasks.length > 0 ? SOMETHING : NOTHING_LEFT
  }
}
