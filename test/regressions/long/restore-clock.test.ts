import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, it, onTestFinished } from 'vitest'
import {
  backupCluster,
  type LocalCluster,
  RestoreIncompleteError,
  RestoreRefusedError,
  restoreCluster,
} from '../../../src/cluster/index.js'
import { NodeLink } from '../../../src/cluster/link.js'
import { RESTORE_KEY } from '../../../src/cluster/own-keys.js'
import { slotOf } from '../../../src/keys/slots.js'
import { contentsOf } from '../../helpers/contents.js'
import { owns, tell, tellAll } from '../../helpers/nodes.js'
import { openCluster } from '../../helpers/own-cluster.js'
import { until } from '../../helpers/until.js'

/**
 * What expires, expires by a clock: that of the server which reads the backup, too. Two days ahead, that one left out every key with less to live,
 * and the restore said that they had expired. What expired while it went on was counted nowhere.
 */
const NAMES = Array.from({ length: 100 }, (_, i) => `key:${i}`)
let cluster: LocalCluster
let dispose: () => Promise<void>
let folder: string

beforeAll(async () => {
  ;({ cluster, dispose } = await openCluster({ replicasPerMaster: 0 }))
  folder = join(cluster.dataDir, '..', 'backups')
})
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
  await dispose()
})
beforeEach(empty)

async function empty(): Promise<void> {
  for (const { port } of cluster.nodes) await tell(port, 'FLUSHALL')
}

/** A backup of one key after the other, each of that many ms to live; the cluster is empty then. */
async function backUp(name: string, aliveMs: (i: number) => number | null): Promise<string> {
  const { nodes } = await cluster.status()
  for (const node of nodes) {
    const own = NAMES.flatMap((key, i) => (owns(node, slotOf(key)) ? [{ key, ms: aliveMs(i) }] : []))
    await tellAll(
      node.port,
      own.map(({ key, ms }) => ['SET', key, 'v', ...(ms === null ? [] : ['PX', ms])]),
    )
  }
  const to = join(folder, name)
  await backupCluster(cluster.seeds, to)
  await empty()
  return to
}

const isOurs = ({ address }: NodeLink) => !cluster.nodes.some(({ port }) => port === address.port)

/** As if the clock of the server that reads the backup were ahead. */
function shiftClock(shiftS: () => number): void {
  const { reply } = NodeLink.prototype
  onTestFinished(() => {
    NodeLink.prototype.reply = reply
  })
  NodeLink.prototype.reply = async function (this: NodeLink, command, ...args) {
    const answer = await reply.call(this, command, ...args)
    if (command !== 'TIME' || !isOurs(this)) return answer
    const [seconds, micros] = answer as [string, string]
    return [String(Number(seconds) + shiftS()), micros]
  }
}

/** What is done with each page of keys that our server lists. */
function onPage(change: (link: NodeLink, page: unknown[]) => Promise<unknown[]>): void {
  const { bytes } = NodeLink.prototype
  onTestFinished(() => {
    NodeLink.prototype.bytes = bytes
  })
  NodeLink.prototype.bytes = async function (this: NodeLink, command, ...args) {
    const answer = await bytes.call(this, command, ...args)
    return command === 'EVAL' && isOurs(this) ? change(this, answer as unknown[]) : answer
  }
}

it('nothing is restored by a clock that is not that of the cluster', async () => {
  const backup = await backUp('hour', () => 3_600_000)
  let shiftS = 0
  shiftClock(() => shiftS)
  for (shiftS of [172_800, -5]) {
    const failure = await restoreCluster(backup, cluster.seeds).catch((error) => error)
    expect(failure).toBeInstanceOf(RestoreRefusedError)
    const [there = 0, here = 0] = [...failure.message.matchAll(/\d{4}-\S+Z/g)].map(([at]) => Date.parse(at))
    expect(Math.abs(here - there - shiftS * 1_000)).toBeLessThan(1_000)
    expect(failure.message).toContain('set both right')
    expect((await contentsOf(cluster.seeds)).size).toBe(0)
  }
  shiftS = 0
  expect(await restoreCluster(backup, cluster.seeds)).toMatchObject({ keys: 100, expired: 0 })
})

it('nor is it said to be done when the clock was set meanwhile; the same command goes on', async () => {
  const backup = await backUp('set', () => 3_600_000)
  let shiftS = 0
  shiftClock(() => shiftS)
  const failure = await restoreCluster(backup, cluster.seeds, {
    onProgress: ({ state }) => {
      if (state === 'comparing') shiftS = 60
    },
  }).catch((error) => error)
  expect(failure).toBeInstanceOf(RestoreIncompleteError)
  expect(failure.message).toContain('set both right')
  shiftS = 0
  expect(await restoreCluster(backup, cluster.seeds)).toMatchObject({ resumed: true, keys: 100 })
})

it('of what lasts for ever no clock decides', async () => {
  const backup = await backUp('ever', () => null)
  shiftClock(() => 172_800)
  expect(await restoreCluster(backup, cluster.seeds)).toMatchObject({ keys: 100, expired: 0 })
})

/** Somebody's, under a name that a restore needs for itself. @returns who has it */
async function putTaken() {
  const { nodes } = await cluster.status()
  const keeper = nodes.find((node) => owns(node, slotOf(RESTORE_KEY)))
  if (!keeper) throw new Error('nobody owns it')
  await tell(keeper.port, 'SET', RESTORE_KEY, 'mine')
  return keeper
}

it('nor is a clock to blame for a key that is left out, as asked', async () => {
  await putTaken()
  const backup = await backUp('taken', () => null)
  shiftClock(() => 172_800)
  expect(await restoreCluster(backup, cluster.seeds, { skipTaken: true })).toMatchObject({
    keys: 100,
    expired: 0,
  })
})

it('nor has such a key expired: one that is missed beside it is told', async () => {
  const keeper = await putTaken()
  const missed = NAMES.find((name) => owns(keeper, slotOf(name)))
  const backup = await backUp('missed-beside', () => 3_600_000)
  onPage(async (_, [cursor, ...page]) => {
    const at = page.findIndex((each) => String(each) === missed)
    return [cursor, ...page.filter((_each, i) => at === -1 || i < at || i >= at + 4)]
  })
  const failure = await restoreCluster(backup, cluster.seeds, { skipTaken: true }).catch((error) => error)
  expect(failure).toBeInstanceOf(RestoreIncompleteError)
  expect(failure.message).toMatch(/ 0 have expired and 1 were left out: 1 are missing/)
})

it('what expires while it goes on is counted', async () => {
  const aliveMs = 4_000
  const backup = await backUp('meanwhile', (i) => (i % 2 === 0 ? aliveMs : null))
  onPage(async (link, page) => {
    const info = () => link.text('INFO', 'keyspace')
    await until('they have run out', info, (text) => !/expires=[1-9]/.test(text))
    return page
  })
  expect(await restoreCluster(backup, cluster.seeds)).toMatchObject({ keys: 50, expired: 50 })
  expect((await contentsOf(cluster.seeds)).size).toBe(50)
})

it('what is neither there nor has expired is missed', async () => {
  const backup = await backUp('missed', (i) => (i % 2 === 0 ? 3_600_000 : null))
  /** As a list of keys that leaves one out. */
  onPage(async (_, page) => page.slice(0, -4))
  const failure = await restoreCluster(backup, cluster.seeds).catch((error) => error)
  expect(failure).toBeInstanceOf(RestoreIncompleteError)
  expect(failure.message).toMatch(
    /of \d+ keys that were backed up, \d+ are in the cluster, .*: 1 are missing/,
  )
})
