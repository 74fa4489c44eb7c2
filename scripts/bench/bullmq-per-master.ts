import type { BenchClient } from '../../src/bench/index.js'
import { inspectAny } from '../../src/cluster/index.js'
import type { ConnectionOptions } from '../../src/connection/options.js'
import { slotOf } from '../../src/keys/slots.js'
import { openAll } from './bullmq.js'

/** One queue on each master: users split a queue by hand to get there. */
export async function open(connection: ConnectionOptions, name: string): Promise<BenchClient> {
  if (connection.mode === 'single') return openAll(connection, [name])
  const { nodes } = await inspectAny(connection.nodes)
  const names = nodes
    .filter(({ slots }) => slots.length > 0)
    .map(({ slots }) => {
      for (let i = 0; ; i++) {
        const slot = slotOf(`{${name}-${i}}`)
        if (slots.some(([from, to]) => from <= slot && slot <= to)) return `${name}-${i}`
      }
    })
  return openAll(connection, names)
}
