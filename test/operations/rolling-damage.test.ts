import { spawnSync } from 'node:child_process'
import { readdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import {
  findServer,
  type LocalCluster,
  planRolling,
  type RollingOptions,
  RollingStoppedError,
} from '../../src/cluster/index.js'
import { slotOf } from '../../src/keys/slots.js'
import { RESTART } from '../helpers/bare-servers.js'
import { owns, tell } from '../helpers/nodes.js'
import { ownCluster } from '../helpers/own-cluster.js'
import { tempDir } from '../helpers/temp-dir.js'
import { until } from '../helpers/until.js'

/** A node of which the files on disk are damaged while it is away. It is a replica always, so that its master has everything. */

const KEYS = Array.from({ length: 300 }, (_, n) => `key:${n}`)
const textOf = (key: string) => `value of ${key}`

async function ownerOf(cluster: LocalCluster) {
  const masters = (await cluster.status()).nodes.filter(({ role }) => role === 'master')
  return (key: string) => masters.find((each) => owns(each, slotOf(key)))?.port ?? 0
}

async function fill(cluster: LocalCluster): Promise<void> {
  const owner = await ownerOf(cluster)
  for (const key of KEYS) await tell(owner(key), 'SET', key, textOf(key))
}

async function expectAllKeys(cluster: LocalCluster): Promise<void> {
  const owner = await ownerOf(cluster)
  for (const key of KEYS) expect(await tell(owner(key), 'GET', key)).toBe(textOf(key))
}

const FOLDER = 'appendonlydir'

async function fileOf(dir: string, part: RegExp): Promise<string> {
  const name = (await readdir(join(dir, FOLDER))).find((each) => part.test(each))
  if (name === undefined) throw new Error(`no file ${part} in ${dir}`)
  return join(dir, FOLDER, name)
}

async function scribble(path: string, where: (size: number) => number): Promise<void> {
  const bytes = await readFile(path)
  await writeFile(path, bytes.fill('?', where(bytes.length), where(bytes.length) + 20))
}

/** What the server does about each is its own: it loads what it can, begins empty, or ends. */
const DAMAGES: Readonly<Record<string, { does(dir: string): Promise<void>; file?: RegExp }>> = {
  'a log whose end is cut off': {
    async does(dir) {
      const path = await fileOf(dir, /incr/)
      await truncate(path, (await stat(path)).size - 10)
    },
  },
  'a manifest that is gone': { does: async (dir) => rm(await fileOf(dir, /manifest/)) },
  'garbage in the middle of a log': {
    does: async (dir) => scribble(await fileOf(dir, /incr/), (size) => Math.floor(size / 2)),
    file: /appendonly\.aof\.\d+\.incr\.aof/,
  },
  'a base that is no RDB any more': {
    does: async (dir) => scribble(await fileOf(dir, /base/), () => 0),
    file: /appendonly\.aof\.\d+\.base\.rdb/,
  },
}

/** Ends the node that is first, as if the tool had been killed then, and damages its files. */
async function damaged(cluster: LocalCluster, damage: (dir: string) => Promise<void>) {
  const end = `kill $(head -1 '${cluster.dataDir}/node_{port}/redis.pid'); exit 3`
  const plan = await planRolling(cluster.seeds, { restartCommand: end, anew: true })
  await expect(plan.run()).rejects.toThrow('ended with 3')
  const [first] = plan.steps
  if (first?.step.kind !== 'restart') throw new Error('the first step is no restart')
  const { node } = first.step
  await until(
    'it has ended',
    () => tell(node.port, 'PING').catch(() => 'ended'),
    (answer) => answer === 'ended',
  )
  const dir = join(cluster.dataDir, `node_${node.port}`)
  await damage(dir)
  return { node, dir }
}

async function roll(cluster: LocalCluster, options: RollingOptions = { dataDir: cluster.dataDir }) {
  const plan = await planRolling(cluster.seeds, options)
  return plan.run().catch((error: unknown) => {
    expect(error).toBeInstanceOf(RollingStoppedError)
    return error as RollingStoppedError
  })
}

const rolesOf = async (cluster: LocalCluster) =>
  (await cluster.status()).nodes.map(({ id, role }) => `${id} ${role}`).sort()

it.each(Object.entries(DAMAGES))('%s', async (_, { does, file }) => {
  const cluster = await ownCluster()
  await fill(cluster)
  const { node, dir } = await damaged(cluster, does)
  const roles = await rolesOf(cluster)
  const startedMs = performance.now()
  const end = await roll(cluster)
  if (file) {
    // Nothing else is touched, and it is said at once what to type.
    expect(performance.now() - startedMs).toBeLessThan(30_000)
    expect(end.done).toEqual([])
    expect(await rolesOf(cluster)).toEqual(roles)
    const { message } = end as RollingStoppedError
    expect(message).toMatch(new RegExp(`${node.name} does not start.*${file.source}`, 's'))
    const [, folder = ''] = /move (\S+) away/.exec(message) ?? []
    expect(folder).toBe(join(dir, FOLDER))
    expect(message).toContain(`redis-check-aof --fix ${folder}/appendonly.aof.manifest`)
    // Again before it is mended: the same.
    expect(await roll(cluster)).toMatchObject({ done: [], message: expect.stringMatching(file) })
    await rename(folder, `${folder}.damaged`)
    expect(await roll(cluster)).toMatchObject({ left: [], interrupted: false })
  } else expect(end).toMatchObject({ left: [], interrupted: false })
  await expectAllKeys(cluster)
})

it('garbage in a log, cut off as it is told', async () => {
  const cluster = await ownCluster()
  await fill(cluster)
  await damaged(cluster, async (dir) => scribble(await fileOf(dir, /incr/), (size) => Math.floor(size / 2)))
  const { message } = (await roll(cluster)) as RollingStoppedError
  const [, manifest = ''] = /redis-check-aof --fix (\S+?)[;,]/.exec(message) ?? []
  const { stdout } = spawnSync('redis-check-aof', ['--fix', manifest], { input: 'y\n', encoding: 'utf8' })
  expect(stdout).toContain('Successfully truncated')
  expect(await roll(cluster)).toMatchObject({ left: [], interrupted: false })
  await expectAllKeys(cluster)
})

it('on hosts of others, where nobody sees the log: named, with what it may be', async () => {
  const cluster = await ownCluster()
  await fill(cluster)
  const script = join(await tempDir(), 'restart')
  // Between its end and its start, the log loses its middle.
  const damage = `for log in "$2"/${FOLDER}/*.incr.aof; do printf '????????????????????' | dd of="$log" bs=1 seek=2000 conv=notrunc 2>/dev/null; done\n`
  await writeFile(script, RESTART.replace('cd "$2"', `${damage}cd "$2"`))
  const { path } = await findServer()
  const restartCommand = `sh '${script}' '${path}' '${cluster.dataDir}/node_{port}'`
  const end = (await roll(cluster, { restartCommand, comeBackMs: 3_000 })) as RollingStoppedError
  expect(end.done).toEqual([])
  expect(end.message).toMatch(
    new RegExp(
      `did not come back within 3 s.*see its log.*if it cannot read its data: its master \\S+ has all that it had, so move ${cluster.dataDir}/node_\\d+/${FOLDER} away`,
    ),
  )
  await expectAllKeys(cluster)
})
