import { appendFile, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import {
  findServer,
  type LocalCluster,
  planFix,
  planRolling,
  type RollingOptions,
  RollingStoppedError,
} from '../../../src/cluster/index.js'
import { KeyLink } from '../../../src/cluster/operation/key-link.js'
import { settleOwed } from '../../../src/cluster/owed/settle.js'
import { RESTART } from '../../helpers/bare-servers.js'
import { tell } from '../../helpers/nodes.js'
import { openCluster } from '../../helpers/own-cluster.js'
import { until } from '../../helpers/until.js'
import { killAt } from '../../operations/faults/break-off.js'

/**
 * A rolling restart is how settings and users of the files come into effect. Every difference between the two processes of a node was taken for
 * something that it had been told at run time, and told again: old settings in place of those of the operator, and users who had been removed.
 */
let cluster: LocalCluster
let dispose: () => Promise<void>
let notes: string[]
beforeEach(async () => {
  ;({ cluster, dispose } = await openCluster())
  notes = []
})
afterEach(() => dispose?.())

const fileOf = ({ port }: { port: number }) => join(cluster.dataDir, `node_${port}`, 'redis.conf')

/** As an operator writes them, on every node. */
async function edit(...lines: string[]): Promise<void> {
  const names = lines.map((line) => line.split(' ')[0] ?? '')
  for (const seed of cluster.seeds) {
    const text = await readFile(fileOf(seed), 'utf8')
    const kept = text.split('\n').filter((line) => !names.includes(line.split(' ')[0] ?? ''))
    await writeFile(fileOf(seed), [...kept, ...lines, ''].join('\n'))
  }
}

const everywhere = (...command: [string, ...(string | number)[]]) =>
  Promise.all(cluster.seeds.map(({ port }) => tell(port, ...command)))
const has = async (name: string) =>
  (await everywhere('CONFIG', 'GET', name)).map((text) => text.split(',').at(-1))
const sixTimes = (value: string) => cluster.seeds.map(() => value)

/** As on hosts whose files we do not see: nobody but the server knows when it was started with what. */
async function byCommand(): Promise<RollingOptions> {
  const script = join(cluster.dataDir, 'restart')
  await writeFile(script, RESTART)
  const { path } = await findServer()
  return { restartCommand: `sh '${script}' '${path}' '${cluster.dataDir}/node_{port}'` }
}

async function roll(options: RollingOptions): Promise<string> {
  const onProgress: RollingOptions['onProgress'] = (each) => {
    if (each.state === 'note') notes.push(each.text)
  }
  try {
    const plan = await planRolling(cluster.seeds, { ...options, onProgress })
    const { left } = await plan.run()
    return left.join()
  } catch (error) {
    expect(error).toBeInstanceOf(RollingStoppedError)
    return (error as Error).message
  }
}

async function owed(): Promise<unknown> {
  const link = new KeyLink(cluster.seeds, {})
  try {
    return await link.call({ timeoutMs: 1_000 }, 'HKEYS', 'shardq:owed')
  } finally {
    link.close()
  }
}

it('what the operator has written into the files comes into effect, and who was removed stays removed', async () => {
  const how = await byCommand()
  await edit('user leaver on nopass ~* &* +@all', 'slowlog-max-len 4000')
  // By a data folder, what each server was started with is known.
  expect(await roll({ dataDir: cluster.dataDir })).toBe('')
  expect(await has('slowlog-max-len')).toEqual(sixTimes('4000'))
  expect((await everywhere('ACL', 'LIST')).join()).toContain('user leaver')
  expect(notes).toContainEqual(expect.stringMatching(/slowlog-max-len 128 \(now 4000\)/))

  await edit('user somebody on nopass ~* +get', 'slowlog-max-len 4242', 'maxmemory 111mb', 'timeout 0')
  for (const seed of cluster.seeds) {
    const text = await readFile(fileOf(seed), 'utf8')
    await writeFile(fileOf(seed), text.replace(/^user leaver.*\n/m, ''))
  }
  // Nobody has told these processes anything, by their own count.
  expect(await roll({ ...how, rewrite: true })).toBe('')
  expect(await has('slowlog-max-len')).toEqual(sixTimes('4242'))
  expect(await has('maxmemory')).toEqual(sixTimes(String(111 * 1024 * 1024)))
  expect((await everywhere('ACL', 'LIST')).join()).not.toContain('user leaver')
  expect(await readFile(fileOf(cluster.seeds[0] ?? { port: 0 }), 'utf8')).toContain('slowlog-max-len 4242')
  expect(await owed()).toEqual([])
}, 120_000)

it('where nobody can know, both are named and none is set; and it goes on with --accept-files', async () => {
  const how = await byCommand()
  expect(await roll(how)).toBe('')
  await everywhere('CONFIG', 'SET', 'slowlog-max-len', 77)
  await everywhere('ACL', 'SETUSER', 'leaver', 'on', '>secret', '+info')
  await edit('maxmemory 111mb')

  const refused = await roll({ ...how, rewrite: true, anew: true })
  expect(refused).toMatch(
    /stopped before any node was done.*--rewrite would overwrite.*maxmemory 111mb \(now 268435456\)/,
  )
  expect(await readFile(fileOf(cluster.seeds[0] ?? { port: 0 }), 'utf8')).toContain('maxmemory 111mb')

  const stopped = await roll({ ...how, anew: true })
  expect(stopped).toMatch(/maxmemory 268435456 \(now 116391936\)/)
  expect(stopped).toMatch(/slowlog-max-len 77 \(now 128\)/)
  expect(stopped).toMatch(/user leaver/)
  expect(stopped).toMatch(/CONFIG REWRITE.*--accept-files/)
  expect(stopped).not.toMatch(/secret|--rewrite/)
  expect((await has('maxmemory')).filter((each) => each === '116391936')).toHaveLength(1)
  expect((await has('slowlog-max-len')).filter((each) => each === '128')).toHaveLength(1)
  // `fix` is to say it, and ends it.
  expect(await owed()).toHaveLength(1)
  const { left } = await (await planFix(cluster.seeds)).run()
  expect(left).toMatchObject([{ why: expect.stringContaining('slowlog-max-len 77 (now 128)') }])
  expect(await owed()).toEqual([])

  expect(await roll(how)).toMatch(/maxmemory 268435456/)
  expect(await owed()).toHaveLength(1)
  expect(await roll({ ...how, acceptFiles: true })).toBe('')
  expect(await has('maxmemory')).toEqual(sixTimes('116391936'))
  expect(await has('slowlog-max-len')).toEqual(sixTimes('128'))
  expect(await owed()).toEqual([])
  await expect(planRolling(cluster.seeds, { ...how, acceptFiles: true, rewrite: true })).rejects.toThrow(
    /--accept-files/,
  )
}, 120_000)

it('what the server refuses is not said to be told again', async () => {
  const how = await byCommand()
  await everywhere('CONFIG', 'SET', 'slowlog-max-len', 77)
  // The program that starts it gives it another one, which cannot be told.
  const script = join(cluster.dataDir, 'restart')
  await writeFile(
    script,
    RESTART.replace('redis.conf"', 'redis.conf" --databases 17 --port $(basename "$2" | tr -d node_)'),
  )
  const stopped = await roll(how)
  expect(stopped).toMatch(/had forgotten slowlog-max-len, .*told again/)
  expect(stopped).toMatch(/databases 16 \(now 17\)/)
  expect(stopped).not.toMatch(/had forgotten [^;]*databases[^;]*told again/)
}, 120_000)

it('a note of what was told is no order once the files say otherwise', async () => {
  await everywhere('CONFIG', 'SET', 'slowlog-max-len', 77)
  await killAt('SHUTDOWN', { operation: 'rolling-restart', how: { dataDir: cluster.dataDir } }, cluster.seeds)
  const [field = ''] = (await owed()) as string[]
  const node = (await cluster.status()).nodes.find(({ id }) => field.endsWith(id))
  if (!node) throw new Error('no note')
  const text = await readFile(fileOf(node), 'utf8')
  await writeFile(fileOf(node), text.replace(/^maxmemory .*$/m, 'maxmemory 111mb'))
  await appendFile(fileOf(node), 'slowlog-max-len 4242\n')
  await cluster.killNode(node.port)
  await cluster.restartNode(node.port)
  await until(
    'it is linked',
    () => tell(node.port, 'INFO', 'replication'),
    (info) => info.includes('master_link_status:up'),
  )
  const [settled] = await settleOwed(cluster.seeds, {})
  expect(settled?.due).toMatchObject({ settings: new Map(), users: [] })
  expect(settled?.due.unknown).toContain('slowlog-max-len 77 (now 4242)')
  expect(await tell(node.port, 'CONFIG', 'GET', 'slowlog-max-len')).toContain('4242')
  expect(await tell(node.port, 'CONFIG', 'GET', 'maxmemory')).toContain('116391936')
  expect(await owed()).toHaveLength(1)
}, 120_000)
