import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { checkCluster } from '../../../src/cluster.js'
import { TaskQueue } from '../../../src/index.js'
import { shardq } from '../../helpers/cli.js'
import { namedCluster } from '../../helpers/named-cluster.js'

it('the tools reach nodes whose certificates are for the host names that they announce', async () => {
  const { nodes, dir, tls } = await namedCluster({ secure: true })
  const seed = { host: 'localhost', port: nodes[0]?.port ?? 0 }
  const env = {
    SHARDQ_REDIS_NODES: `${seed.host}:${seed.port}`,
    SHARDQ_REDIS_TLS_CA_FILE: join(dir, 'tls', 'ca.crt'),
    SHARDQ_REDIS_TLS_CERT_FILE: join(dir, 'tls', 'client.crt'),
    SHARDQ_REDIS_TLS_KEY_FILE: join(dir, 'tls', 'client.key'),
  }
  const status = await shardq(['cluster', 'status', '--json'], { cwd: dir, env })
  expect(JSON.parse(status.stdout)).toMatchObject({
    state: 'ok',
    answered: 3,
    strangers: [],
    differences: [],
  })
  const { findings } = await checkCluster([seed], { tls, settleMs: 50 })
  const ofNames = /certificate-untrusted|nothing-listens|views-differ|host/
  expect(findings.map(({ check }) => check).filter((check) => ofNames.test(check))).toEqual([])
})

it('in plain text, too, nodes are called by their names where the cluster prefers those', async () => {
  const { nodes } = await namedCluster({ secure: false })
  const connection = { mode: 'cluster', nodes: nodes.slice(0, 1) } as const
  const queue = new TaskQueue<{ note: number }>('named', { connection, durability: 'async' })
  onTestFinished(() => queue.disconnect())
  await queue.connect()
  await Promise.all(
    Array.from({ length: 30 }, (_, i) => queue.enqueue('note', i, { partitionKey: `key ${i}` })),
  )
  const [seed] = nodes
  const names = [...nodes.map(({ port }) => `localhost:${port}`), `127.0.0.1:${seed?.port}`]
  expect(Object.keys((await queue.stats()).nodes).sort()).toEqual(names.sort())
})
