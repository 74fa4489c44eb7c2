/**
 * A process of its own that writes a key of each given node about every millisecond, over a connection of its own:
 * `move-prober.ts PORT/KEY PORT/KEY ...`. Each message to it ends a phase; it answers with the replies that took longest in it.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { NodeLink } from '../../src/cluster/link.js'

export interface Probed {
  readonly count: number
  readonly p99Ms: number
  readonly maxMs: number
}

const places = process.argv.slice(2).map((text) => text.split('/') as [string, string])
const latencies: number[][] = places.map(() => [])

process.on('disconnect', () => process.exit(0))
process.on('message', () => {
  const found = latencies.map((each): Probed => {
    const sorted = each.splice(0).sort((a, b) => a - b)
    const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
    return { count: sorted.length, p99Ms: at(0.99), maxMs: at(1) }
  })
  process.send?.(found)
})

await Promise.all(
  places.map(async ([port, key], i) => {
    const link = await NodeLink.open({ host: '127.0.0.1', port: Number(port) }, { timeoutMs: 60_000 })
    process.send?.('ready')
    for (;;) {
      const began = performance.now()
      await link.text('SET', key, '1')
      latencies[i]?.push(performance.now() - began)
      await sleep(1)
    }
  }),
)
