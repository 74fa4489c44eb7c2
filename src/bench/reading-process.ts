/**
 * Takes one reading, in a process of its own: what one contender leaves in a heap must not cost the next. It is told what to
 * do by message, since a connection may carry a password.
 */
import type { ConnectionOptions } from '../connection/options.js'
import type { BenchSettings, ContenderModule } from './client.js'
import { type Measure, type Reading, take } from './measures.js'

export interface Order {
  readonly module: string
  readonly connection: ConnectionOptions
  readonly queue: string
  readonly settings: BenchSettings
  readonly measure: Measure
}

export type Report =
  | { readonly what: 'begin' }
  | { readonly what: 'end' }
  | { readonly what: 'reading'; readonly reading: Reading }
  | { readonly what: 'failed'; readonly error: string }

const send = (report: Report) => process.send?.(report)

// Ctrl-C on a terminal reaches both; the parent ends this process, and removes what it leaves.
process.on('SIGINT', () => {})
let isDone = false
// Without a parent nobody removes anything, so no more is made.
process.on('disconnect', () => {
  if (!isDone) process.exit(1)
})

process.once('message', (order: Order) => {
  run(order).then(
    () => {
      isDone = true
      process.disconnect()
    },
    (error: unknown) => {
      send({ what: 'failed', error: error instanceof Error ? (error.stack ?? error.message) : String(error) })
      process.exit(1)
    },
  )
})

async function run({ module, connection, queue, settings, measure }: Order): Promise<void> {
  const { open } = (await import(module)) as ContenderModule
  const client = await open(connection, queue, settings)
  const reading = await take(measure, client, {
    async begin() {
      send({ what: 'begin' })
      await new Promise((resolve) => process.once('message', resolve))
    },
    end: () => send({ what: 'end' }),
  })
  await client.close()
  send({ what: 'reading', reading })
}
