import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { checkCluster } from '../../../src/check/index.js'
import {
  type Address,
  CreateRefusedError,
  createCluster,
  findServer,
  freePorts,
  inspect,
  planFix,
} from '../../../src/cluster/index.js'
import { discardProcess, startNode } from '../../../src/cluster/node.js'
import { ownCluster } from '../../helpers/own-cluster.js'
import { until } from '../../helpers/until.js'

it('a cluster whose nodes all came back on other addresses is brought together by fix, and nothing else is advised', async () => {
  const cluster = await ownCluster()
  await cluster.stop()
  const [server, ports] = await Promise.all([findServer(), freePorts(6)])
  const nodes: Address[] = await Promise.all(
    cluster.nodes.map(async ({ dir }, index) => {
      const [path, port = 0] = [join(dir, 'redis.conf'), ports[index]]
      const text = await readFile(path, 'utf8')
      await writeFile(path, text.replace(/^port \d+$/m, `port ${port}`))
      const process = await startNode(server, { dir, port, access: {} })
      onTestFinished(() => discardProcess(process))
      return { host: '127.0.0.1', port }
    }),
  )

  // From one of them, the others cannot be found; from all of them, they can.
  const { findings: alone } = await checkCluster(nodes.slice(0, 1), { settleMs: 0, timeoutMs: 300 })
  expect(alone.flatMap(({ mend }) => mend)).toContain(
    `redis-cli -h 127.0.0.1 -p ${nodes[0]?.port} CLUSTER MEET NEW-HOST NEW-PORT`,
  )
  const { findings } = await checkCluster(nodes, { settleMs: 0, timeoutMs: 300 })
  const changed = findings.find(({ check }) => check === 'address-changed')
  expect(changed?.nodes).toHaveLength(6)
  expect(changed?.mend).toHaveLength(5)
  const advice = findings.flatMap(({ mend }) => mend).filter((command) => !command.includes('CLUSTER MEET'))
  expect(
    advice.filter((command) => !command.startsWith('redis-cli') || /FORGET|RESET/.test(command)),
  ).toEqual([])

  const refused = await createCluster({ nodes }).catch((error: unknown) => error)
  expect(refused).toBeInstanceOf(CreateRefusedError)
  expect((refused as Error).message).toContain('shardq cluster fix')
  expect((refused as Error).message).not.toContain('FLUSHALL')

  const { run, steps } = await planFix(nodes, { agreeMs: 0, timeoutMs: 500 })
  expect(steps.map(({ kind }) => kind)).toEqual(Array(5).fill('introduce'))
  const report = await run()
  expect(report).toMatchObject({ left: [], agreed: true })
  const look = () => inspect(nodes[0] as Address)
  const { nodes: known } = await until('it serves', look, ({ state }) => state === 'ok')
  expect(known.map(({ port }) => port)).toEqual([...ports].sort((a, b) => a - b))
}, 60_000)
