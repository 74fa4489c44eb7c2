import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { nodeDir } from '../../../src/cluster/data-dir.js'
import { freePorts, type LocalCluster, startCluster } from '../../../src/cluster/index.js'
import { openCluster } from '../../../src/cluster/open.js'
import { processStamp } from '../../../src/cluster/processes.js'
import { shellWord } from '../../../src/shell.js'
import { eventually } from '../../helpers/behaviour/harness.js'
import { shardq } from '../../helpers/cli.js'
import { tell } from '../../helpers/nodes.js'
import { ownCluster } from '../../helpers/own-cluster.js'
import { plainKeys, readable, writeKeys } from '../../helpers/plain-keys.js'
import { tempDir } from '../../helpers/temp-dir.js'

const ALL = plainKeys(300)

function tools({ dataDir }: LocalCluster) {
  const type = (...args: string[]) => shardq(['cluster', ...args, '--data-dir', dataDir])
  const done = async (...args: string[]) => {
    const { code, stderr, stdout } = await type(...args)
    expect({ args, code, stderr, stdout: code === 0 ? '' : stdout }).toEqual({
      args,
      code: 0,
      stderr: '',
      stdout: '',
    })
  }
  /** @returns what it says */
  const refused = async (...args: string[]) => {
    const { code, stderr } = await type(...args)
    expect({ args, code, stderr }).toMatchObject({ args, code: 1 })
    expect(stderr).not.toContain('is held by')
    return stderr
  }
  return { type, done, refused }
}

/** Types what a message says of one port. */
async function obey(text: string, port: number, command: string): Promise<void> {
  expect(text).toContain(`redis-cli -h 127.0.0.1 -p ${port} ${command}`)
  const [first = '', ...args] = command.split(' ')
  // One that ends says nothing.
  await tell(port, first, ...args).catch((error: Error) => {
    if (first !== 'SHUTDOWN') throw error
  })
}

const isGone = (pid: number) => eventually(async () => expect(await processStamp(pid)).toBeNull(), 15_000)

test('a replica whose folder was removed while it runs is ours, and is given up as is said', async () => {
  const cluster = await ownCluster()
  const { dataDir, nodes } = cluster
  const { done, refused, type } = tools(cluster)
  await writeKeys(cluster, ALL, () => 'x')
  const replica = nodes.find(({ role }) => role === 'replica') as (typeof nodes)[number]
  await rm(nodeDir(dataDir, replica.port), { recursive: true })

  await done('status')
  expect((await type('check')).stderr).toBe('')
  expect((await type('fix', '--yes')).stderr).toBe('')
  for (const command of ['up', 'add-node']) {
    const said = await refused(command)
    expect(said).toContain(
      `node ${replica.port} runs, but its folder ${nodeDir(dataDir, replica.port)} is gone`,
    )
  }
  const said = await refused('stop')
  expect(said).toContain('nothing was stopped')
  expect(said).toContain(`127.0.0.1:${replica.port}: its folder`)
  await obey(said, replica.port, 'SHUTDOWN NOSAVE')
  await isGone(replica.pid)
  const forget = ['fix', '--forget', `127.0.0.1:${replica.port}`]
  expect(said).toContain(`shardq cluster ${forget.join(' ')} --data-dir ${shellWord(dataDir)}`)
  await eventually(
    async () => expect(await tell(nodes[0]?.port as number, 'CLUSTER', 'NODES')).toMatch(/,fail /),
    15_000,
  )
  await done(...forget, '--yes')
  await done('add-node', '--replica-of', 'auto')
  await done('stop')
  await done('up')
  expect(await readable(cluster, ALL)).toBe(ALL.length)
}, 120_000)

test('a master whose folder was removed hands its data to its replica, as is said', async () => {
  const cluster = await ownCluster()
  const { dataDir, nodes } = cluster
  const { done, refused } = tools(cluster)
  await writeKeys(cluster, ALL, () => 'x')
  const replica = nodes.find(({ role }) => role === 'replica') as (typeof nodes)[number]
  const master = nodes.find(({ port }) => port === replica.masterPort) as (typeof nodes)[number]
  await rm(nodeDir(dataDir, master.port), { recursive: true })
  expect(await refused('up')).toContain(`node ${master.port} runs, but`)
  await obey(await refused('stop'), replica.port, 'CLUSTER FAILOVER')
  await isGone(master.pid)
  await done('stop')
  const lost = await refused('up')
  expect(lost).toContain(`node ${master.port} cannot be started`)
  await done('fix', '--yes', '--forget', `127.0.0.1:${master.port}`)
  await done('up')
  expect(await readable(cluster, ALL)).toBe(ALL.length)
}, 120_000)

test('a master that is the only one with its data, and whose folder was removed, is saved, as is said', async () => {
  const cluster = await ownCluster({ replicasPerMaster: 0 })
  const { dataDir, nodes } = cluster
  const { done, refused } = tools(cluster)
  await writeKeys(cluster, ALL, () => 'x')
  const { port } = nodes[0] as (typeof nodes)[number]
  await rm(nodeDir(dataDir, port), { recursive: true })
  const said = await refused('stop')
  expect(said).toContain(`127.0.0.1:${port}: its folder`)
  for (const command of ['backup --to FOLDER', 'up --clean', 'restore --from FOLDER'])
    expect(said).toContain(`shardq cluster ${command} --data-dir ${shellWord(dataDir)}`)
  const folder = join(await tempDir(), 'backup')
  await done('backup', '--to', folder)
  await startCluster({ dataDir, clean: true, ports: await freePorts(3), replicasPerMaster: 0 })
  await done('restore', '--from', folder)
  const again = (await openCluster(dataDir)) as LocalCluster
  expect(await readable(again, ALL)).toBe(ALL.length)

  // And it can be removed as any other.
  for (const node of again.nodes) await rm(nodeDir(dataDir, node.port), { recursive: true })
  await again.stop({ remove: true })
  for (const { pid } of again.nodes) expect(await processStamp(pid)).toBeNull()
}, 120_000)
