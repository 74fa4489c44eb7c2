import { networkInterfaces } from 'node:os'
import { expect, it } from 'vitest'
import { withLink } from '../../../src/cluster/link.js'
import { TaskQueue, Worker } from '../../../src/index.js'
import { bareServers } from '../../helpers/bare-servers.js'
import { eventually } from '../../helpers/behaviour/harness.js'
import { shardq } from '../../helpers/cli.js'

const HAS_IPV6 = Object.values(networkInterfaces()).some((all) =>
  all?.some(({ address }) => address === '::1'),
)

/** Servers that call each other by ::1; of 127.0.0.1 the helper knows alone. */
it('a cluster on IPv6 addresses: each operation, by what the one before has printed', async () => {
  if (!HAS_IPV6) return console.log('NOT RUN: this machine has no ::1')
  const servers = await bareServers(8, {
    settings: { 'cluster-node-timeout': '1000' },
    lines: ['bind 127.0.0.1 ::1'],
  })
  const names = servers.map(({ port }) => `[::1]:${port}`)
  const first = names.slice(0, 6)
  const cluster = async (...args: string[]) => {
    const result = await shardq(['cluster', ...args], { env: { SHARDQ_REDIS_NODES: first.join() } })
    expect(result, `${args.join(' ')}: ${result.stdout}`).toMatchObject({ code: 0, stderr: '' })
    return result.stdout
  }
  const document = async (...args: string[]) => JSON.parse(await cluster(...args, '--json'))

  const created = await cluster('create', '--nodes', first.join(), '--yes')
  const [, look = ''] = /Look at it with: shardq cluster status --node (\S+)/.exec(created) ?? []
  expect(first).toContain(look)
  for (const name of first) expect(await cluster('status', '--node', look)).toContain(name)
  expect(await cluster('check')).toContain('looked at on 6 of 6 nodes')
  expect(await cluster('fix')).toContain('nothing to mend')

  const [joining = '', following = ''] = names.slice(6)
  expect((await document('add-node', joining)).added).toMatchObject([{ node: joining }])
  // As servers write it.
  const bare = joining.replace(/[[\]]/g, '')
  expect((await document('add-node', following, '--replica-of', bare)).added).toMatchObject([
    { node: following, replicaOf: joining },
  ])
  expect((await document('rebalance', '--weight', `${joining}=2`, '--yes')).left).toEqual([])

  const connection = {
    mode: 'cluster' as const,
    nodes: servers.slice(0, 6).map(({ port }) => ({ host: '::1', port })),
  }
  const queue = new TaskQueue<{ job: { n: number } }>('v6', { connection })
  const runs = new Set<number>()
  const worker = new Worker<{ job: { n: number } }>(
    'v6',
    { job: async ({ data }) => void runs.add(data.n) },
    { connection },
  )
  await queue.connect()
  await worker.start()
  const enqueue = async (from: number) => {
    for (let n = from; n < from + 50; n++) await queue.enqueue('job', { n }, { partitionKey: `k${n % 7}` })
  }
  await enqueue(0)
  expect((await document('remove-node', joining, '--with-replicas', '--yes')).removed).toEqual([
    following,
    joining,
  ])
  await enqueue(50)
  await eventually(() => expect(runs.size).toBe(100))
  await worker.stop()
  await queue.disconnect()

  // What is wrong is named so, too, and so is what to type.
  const { port } = servers[0] ?? { port: 0 }
  await withLink({ host: '::1', port }, {}, (link) => link.text('SHUTDOWN', 'NOSAVE')).catch(() => {})
  const left = await shardq(['cluster', 'fix', '--json'], { env: { SHARDQ_REDIS_NODES: first.join() } })
  expect(left.stdout).toContain(`${first[0]}, which does not answer`)
}, 120_000)
