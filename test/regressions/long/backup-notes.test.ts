import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { checkCluster } from '../../../src/check/index.js'
import {
  backupCluster,
  type LocalCluster,
  RestoreRefusedError,
  restoreCluster,
  verifyBackup,
} from '../../../src/cluster/index.js'
import { makeNote } from '../../../src/cluster/operation/holder.js'
import { KeyLink } from '../../../src/cluster/operation/key-link.js'
import { shardq } from '../../helpers/cli.js'
import { contentsOf } from '../../helpers/contents.js'
import { tell } from '../../helpers/nodes.js'
import { openCluster } from '../../helpers/own-cluster.js'
import { tempDir } from '../../helpers/temp-dir.js'

/**
 * What the tools write down in a cluster about its nodes was left out by a restore and counted all the same, so that a backup with such a note
 * was found whole and could never be restored; or was restored, and taken for what had been done to the nodes of the new cluster.
 */
let source: LocalCluster
let target: LocalCluster
let disposals: (() => Promise<void>)[] = []
beforeAll(async () => {
  const opened = await Promise.all([3, 4].map((masters) => openCluster({ masters, replicasPerMaster: 0 })))
  disposals = opened.map(({ dispose }) => dispose)
  ;[source, target] = opened.map(({ cluster }) => cluster) as [LocalCluster, LocalCluster]
})
afterAll(() => Promise.all(disposals.map((dispose) => dispose())))

type Command = readonly [name: string, key: string, ...args: (string | number)[]]
const LOCK = 'shardq:operation'
const OWED = 'shardq:owed'
const ROLLING = 'shardq:rolling-restart'
const RESTORE = 'shardq:restore'
const owedBy = (field: string): Command => ['HSET', OWED, field, '{"kind":"lent"}']
/** Of a process that has ended. */
const LEFT_BEHIND = JSON.stringify({ ...JSON.parse(await makeNote('fix')), stamp: 'of another time' })
const NOTES: readonly Command[] = [
  owedBy('lent a'),
  ['SET', ROLLING, '{"version":1}', 'PX', 600_000],
  ['SET', LOCK, LEFT_BEHIND, 'PX', 600_000],
]

async function send(cluster: LocalCluster, ...commands: Command[]) {
  const link = new KeyLink(cluster.seeds, {})
  try {
    for (const command of commands) await link.call({ timeoutMs: 5_000 }, ...command)
  } finally {
    link.close()
  }
}

beforeEach(async () => {
  for (const { port } of [...source.nodes, ...target.nodes]) await tell(port, 'FLUSHALL')
  for (let i = 0; i < 50; i++)
    await send(source, ['SET', `k${i}`, i, ...(i % 2 === 0 ? ['PX', 600_000] : [])])
})

/** Of the source as it is. */
async function backup(): Promise<string> {
  const to = join(await tempDir(), 'to')
  await backupCluster(source.seeds, to, { agreeMs: 0 })
  return to
}

/** All that is in a cluster but these. */
async function without(cluster: LocalCluster, ...names: readonly string[]): Promise<Map<string, string>> {
  const found = await contentsOf(cluster.seeds)
  for (const name of names) found.delete(name)
  return found
}

describe('a note of the tools in the cluster that is backed up', () => {
  it.each(NOTES.map((note) => ({ name: note[1], note })))(
    '$name: is left out, and named by the backup’s check and by the restore',
    async ({ name, note }) => {
      const before = await contentsOf(source.seeds)
      await send(source, note)
      const from = await backup()
      const { faults, files } = await verifyBackup(from)
      expect(faults).toEqual([])
      expect(files.flatMap(({ leftOut }) => leftOut)).toEqual([name])
      const report = await restoreCluster(from, target.seeds)
      expect(report.files.flatMap(({ leftOut }) => leftOut)).toEqual([name])
      expect(report.keys).toBe(50)
      expect(await contentsOf(target.seeds)).toEqual(before)
    },
  )

  it('is told on the command line, and does not take the place of what the other cluster has', async () => {
    await send(source, owedBy('lent a'))
    await send(target, owedBy('lent b'))
    const from = await backup()
    const verified = await shardq(['cluster', 'backup', 'verify', from])
    expect(verified).toMatchObject({ code: 0, stdout: expect.stringMatching(/shardq:owed/) })
    const node = `127.0.0.1:${target.seeds[0]?.port}`
    const restored = await shardq(['cluster', 'restore', '--from', from, '--node', node])
    expect(restored).toMatchObject({ code: 0, stderr: '' })
    expect(restored.stdout).toMatch(/shardq:owed left out.*✅ restored: 50 keys/s)
    expect((await contentsOf(target.seeds)).get(OWED)).toContain(Buffer.from('lent b').toString('hex'))
    expect(await without(target, OWED)).toEqual(await without(source, OWED))
  })
})

it('a note in the cluster that is filled is no key that is there, nor one too many', async () => {
  const from = await backup()
  await send(target, ...NOTES.slice(0, 2))
  await restoreCluster(from, target.seeds)
  expect((await contentsOf(target.seeds)).size).toBe(52)
  expect(await without(target, OWED, ROLLING)).toEqual(await contentsOf(source.seeds))
})

describe('what has the name of a note and is none', () => {
  it.each([OWED, ROLLING])('%s: is a key like any other, and restored', async (name) => {
    await send(source, ['RPUSH', name, 'mine'])
    const from = await backup()
    const report = await restoreCluster(from, target.seeds)
    expect(report.files.flatMap(({ leftOut }) => leftOut)).toEqual([])
    expect(report.keys).toBe(51)
    expect(await contentsOf(target.seeds)).toEqual(await contentsOf(source.seeds))
  })

  it('so a cluster that has it is not empty, and one that has a note there keeps that; nothing is written', async () => {
    await send(source, ['RPUSH', OWED, 'mine'])
    const from = await backup()
    const refused = async (message: RegExp) => {
      const before = await without(target, LOCK)
      const failure = await restoreCluster(from, target.seeds).catch((error) => error)
      expect(failure).toBeInstanceOf(RestoreRefusedError)
      expect(failure.message).toMatch(message)
      expect(await without(target, LOCK)).toEqual(before)
    }
    await send(target, ['RPUSH', OWED, 'another'])
    await refused(/is not empty: it has shardq:owed/)
    await send(target, ['DEL', OWED], owedBy('lent b'))
    await refused(/has shardq:owed as a list, which is not from shardq/)
  })

  it.each([LOCK, RESTORE])(
    '%s: a backup has it and warns; a restore needs that name, and leaves it out if asked',
    async (name) => {
      await send(source, ['RPUSH', name, 'mine', 'too'])
      const to = join(await tempDir(), 'to')
      const named = new RegExp(
        `${name} as a list, which is not from shardq, and a restore needs that name.*--skip-taken`,
      )
      const { manifest } = await backupCluster(source.seeds, to, { agreeMs: 0 })
      expect(manifest.warnings).toEqual([expect.stringMatching(named)])
      expect(manifest.shards.reduce((sum, { keys }) => sum + keys, 0)).toBe(51)
      expect((await checkCluster(source.seeds)).notes.join()).not.toContain('WRONGTYPE')

      expect((await verifyBackup(to)).faults.join()).toMatch(named)
      await expect(restoreCluster(to, target.seeds)).rejects.toThrow(named)
      expect((await contentsOf(target.seeds)).size).toBe(0)
      const node = `127.0.0.1:${target.seeds[0]?.port}`
      const restored = await shardq(['cluster', 'restore', '--from', to, '--node', node, '--skip-taken'])
      expect(restored).toMatchObject({ code: 0, stderr: '' })
      expect(restored.stdout).toMatch(new RegExp(`${name} left out, as asked.*restored: 50 keys`, 's'))
      expect(await contentsOf(target.seeds)).toEqual(await without(source, name))
    },
  )

  it('one that goes on without the word for it says so, and not that something else writes there', async () => {
    await send(source, ['SET', RESTORE, 'mine'])
    const from = await backup()
    const enough = new AbortController()
    const onProgress = ({ state }: { state: string }) => state === 'copying' && enough.abort()
    const { signal } = enough
    const options = { skipTaken: true, signal, onProgress }
    await expect(restoreCluster(from, target.seeds, options)).rejects.toThrow(/interrupted/)
    await expect(restoreCluster(from, target.seeds)).rejects.toThrow(/--skip-taken/)
    await restoreCluster(from, target.seeds, { skipTaken: true })
    expect(await contentsOf(target.seeds)).toEqual(await without(source, RESTORE))
  })
})
