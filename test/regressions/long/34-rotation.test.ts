import { setTimeout as sleep } from 'node:timers/promises'
import { expect, it, onTestFinished } from 'vitest'
import { type Address, withLink } from '../../../src/cluster/link.js'
import { TaskQueue, Worker } from '../../../src/index.js'
import { ownCluster } from '../../helpers/own-cluster.js'
import { until } from '../../helpers/until.js'

it('a password that is changed and put back, and all connections killed ten times, lose nothing', async () => {
  const cluster = await ownCluster()
  const tell = (node: Address, ...[command = '', ...args]: string[]) =>
    withLink(node, {}, (link) => link.text(command, ...args))
  const everywhere = (...words: string[]) => Promise.all(cluster.seeds.map((node) => tell(node, ...words)))
  await everywhere('ACL', 'SETUSER', 'app', 'on', '>one', '~*', '&*', '+@all')
  const connection = { ...cluster.connection, username: 'app', password: 'one' }
  const queue = new TaskQueue<{ note: number }>('rotated', { connection })
  const runs = new Map<number, number>()
  const worker = new Worker<{ note: number }>(
    'rotated',
    { note: async ({ data }) => void runs.set(data, (runs.get(data) ?? 0) + 1) },
    { connection },
  )
  worker.on('error', () => {})
  await queue.connect()
  await worker.start()
  onTestFinished(async () => {
    await worker.stop({ timeoutMs: 500 })
    await queue.disconnect()
  })
  const acknowledged = new Set<number>()
  let next = 0
  let over = false
  const callers = Array.from({ length: 10 }, async () => {
    while (!over) {
      const n = next++
      await queue.enqueue('note', n).then(
        () => acknowledged.add(n),
        () => undefined,
      )
      await sleep(2)
    }
  })
  const growsBy = (count: number) => {
    const before = acknowledged.size
    return until(
      'tasks are acknowledged',
      async () => acknowledged.size,
      (size) => size > before + count,
    )
  }
  await growsBy(500)
  await everywhere('ACL', 'SETUSER', 'app', 'resetpass', '>two')
  await everywhere('CLIENT', 'KILL', 'USER', 'app')
  await sleep(2_000)
  await everywhere('ACL', 'SETUSER', 'app', '>one')
  await growsBy(500)
  for (let round = 0; round < 10; round++) {
    await everywhere('CLIENT', 'KILL', 'USER', 'app')
    await sleep(150)
  }
  await growsBy(500)
  over = true
  await Promise.all(callers)
  await until(
    'all have run',
    async () => [...acknowledged].filter((n) => !runs.has(n)),
    (missing) => missing.length === 0,
  )
  expect(worker.health().status).toBe('healthy')
}, 120_000)
