import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import {
  backupCluster,
  type LocalCluster,
  RestoreIncompleteError,
  restoreCluster,
} from '../../../src/cluster/index.js'
import { slotOf } from '../../../src/keys/slots.js'
import { contentsOf } from '../../helpers/contents.js'
import { owns, tell } from '../../helpers/nodes.js'
import { openCluster } from '../../helpers/own-cluster.js'
import { until } from '../../helpers/until.js'
import { mastersOf } from '../../operations/common/strays.js'

/**
 * In the end a cluster that was filled may have no key too many. One that goes on may have some whose time is over: a server comes to removing them
 * when it likes. It was told for ever that something else writes there, and never which key that was.
 */
const NAMES = Array.from({ length: 100 }, (_, i) => `key:${i}`)
let cluster: LocalCluster
let dispose: () => Promise<void>
let folder: string

beforeAll(async () => {
  const settings = { 'enable-debug-command': 'yes' }
  ;({ cluster, dispose } = await openCluster({ replicasPerMaster: 0, settings }))
  folder = join(cluster.dataDir, '..', 'backups')
})
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
  await dispose()
})
beforeEach(async () => {
  await onAll('DEBUG', 'SET-ACTIVE-EXPIRE', 1)
  await onAll('FLUSHALL')
})

const onAll = (command: string, ...args: (string | number)[]) =>
  Promise.all(cluster.nodes.map(({ port }) => tell(port, command, ...args)))

async function at(name: string): Promise<number> {
  const owner = (await mastersOf(cluster)).find((master) => owns(master, slotOf(name)))
  return owner?.port ?? 0
}

const sizes = async () => (await onAll('DBSIZE')).reduce((sum, size) => sum + Number(size), 0)

/** A restore that was broken off when all keys were there, half of which end then. */
async function brokenOff(to: string, endsAtMs: number): Promise<string> {
  const backup = join(folder, to)
  for (const [i, name] of NAMES.entries())
    await tell(await at(name), 'SET', name, i, ...(i % 2 === 0 ? ['PXAT', endsAtMs] : []))
  await backupCluster(cluster.seeds, backup)
  await onAll('FLUSHALL')
  const ending = new AbortController()
  const onProgress = ({ state }: { state: string }) => void (state === 'restored' && ending.abort())
  const failure = await restoreCluster(backup, cluster.seeds, { signal: ending.signal, onProgress }).catch(
    (error) => error,
  )
  expect(failure).toBeInstanceOf(RestoreIncompleteError)
  return backup
}

const untilMs = (atMs: number) =>
  until(
    'their time is over',
    async () => Date.now(),
    (now) => now > atMs,
  )

it('keys whose time is over, and which are there still, are not too many', async () => {
  const endsAtMs = Date.now() + 10_000
  const backup = await brokenOff('lazy', endsAtMs)
  await onAll('DEBUG', 'SET-ACTIVE-EXPIRE', 0)
  const before = await sizes()
  await untilMs(endsAtMs)
  expect(await sizes()).toBe(before)
  expect(await restoreCluster(backup, cluster.seeds)).toMatchObject({ resumed: true, keys: 50, expired: 50 })
  expect((await contentsOf(cluster.seeds)).size).toBe(50)
})

it('nor are those that a move has given some seconds more', async () => {
  const endsAtMs = Date.now() + 10_000
  const backup = await brokenOff('moved', endsAtMs)
  const moved = NAMES.filter((_, i) => i % 2 === 0)
  const set = await Promise.all(
    moved.map(async (name) => tell(await at(name), 'PEXPIREAT', name, endsAtMs + 5_000)),
  )
  expect(set).toContain('1')
  await untilMs(endsAtMs)
  expect(await restoreCluster(backup, cluster.seeds)).toMatchObject({ resumed: true, keys: 50, expired: 50 })
  expect((await contentsOf(cluster.seeds)).size).toBe(50)
})

it.each([
  ['for ever', []],
  ['for an hour', ['EX', 3_600]],
])('a key of somebody, %s, is named, with the way out', async (_, ends) => {
  const backup = await brokenOff(`foreign-${ends.length}`, Date.now() + 3_600_000)
  const foreign = `\u001b[2Jmine${'!'.repeat(500)}`
  const port = await at(foreign)
  await tell(port, 'SET', foreign, 'dear', ...ends)
  const failure = await restoreCluster(backup, cluster.seeds).catch((error) => error)
  expect(failure).toBeInstanceOf(RestoreIncompleteError)
  expect(failure.message).toContain('something else writes to it')
  expect(failure.message).toContain('in no file of the backup')
  expect(failure.message).toContain(`"\\x1b[2Jmine!!!`)
  expect(failure.message).toContain(`redis-cli -h 127.0.0.1 -p ${port} -c UNLINK KEY`)
  expect(failure.message.length).toBeLessThan(1_000)
  for (const never of ['FLUSHALL', '\u001b']) expect(failure.message).not.toContain(never)
  expect(await tell(port, 'GET', foreign)).toBe('dear')
  await tell(port, 'UNLINK', foreign)
  expect(await restoreCluster(backup, cluster.seeds)).toMatchObject({ resumed: true, keys: 100, expired: 0 })
})
