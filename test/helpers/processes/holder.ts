/**
 * A process of its own that takes tasks and holds them: `holder.ts QUEUE COUNT LEASE_MS`, with the connection as JSON
 * in CONNECTION. Says `held N`; told `complete` (or once it runs again after a SIGSTOP), tries to complete them and says what came of it.
 */
import type { ConnectionOptions } from '../../../src/connection/options.js'
import { LeaseLostError, TaskQueue } from '../../../src/index.js'

const [name, countText, leaseText] = process.argv.slice(2) as [string, string, string]
const connection = JSON.parse(process.env.CONNECTION ?? '') as ConnectionOptions
const queue = new TaskQueue(name, { connection })
await queue.connect()
const count = Number(countText)
const held: Awaited<ReturnType<typeof queue.dequeue>> = []
while (held.length < count) {
  held.push(...(await queue.dequeue({ count: count - held.length, leaseMs: Number(leaseText) })))
}
process.send?.({ held: held.length })
process.on('disconnect', () => process.exit(1))
process.on('message', async () => {
  const outcomes = await Promise.allSettled(held.map((delivery) => delivery.complete()))
  const refused = outcomes.filter((one) => one.status === 'rejected' && one.reason instanceof LeaseLostError)
  process.send?.({
    completed: outcomes.filter((one) => one.status === 'fulfilled').length,
    refused: refused.length,
  })
  await queue.disconnect()
  process.disconnect()
})
