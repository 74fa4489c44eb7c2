import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import {
  BackupFolderError,
  backupCluster,
  type LocalCluster,
  RestoreRefusedError,
  restoreCluster,
  verifyBackup,
} from '../../../src/cluster/index.js'
import { NodeLink } from '../../../src/cluster/link.js'
import { contentsOf } from '../../helpers/contents.js'
import { tell } from '../../helpers/nodes.js'
import { openCluster } from '../../helpers/own-cluster.js'
import { plainKeys, writeKeys } from '../../helpers/plain-keys.js'

/**
 * Where a FUNCTION LOAD REPLACE had reached two masters of three, their files disagreed on the library. Verify was content; a restore
 * compared each file with the empty cluster alone, copied the first, failed at the next, and so it did every time.
 */
const library = (name: string, answer: string, called = 'hello') =>
  `#!lua name=${name}\nredis.register_function('${called}', function() return '${answer}' end)`
const KEYS = 30
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

const onEach = (act: (port: number, i: number) => Promise<unknown>) =>
  Promise.all(cluster.nodes.map(({ port }, i) => act(port, i)))

async function empty(): Promise<void> {
  await onEach((port) => tell(port, 'FLUSHALL'))
  await onEach((port) => tell(port, 'FUNCTION', 'FLUSH'))
}

/** A backup of masters with that code each; the cluster is empty then. */
async function backUp(name: string, code: (i: number) => string) {
  await writeKeys(cluster, plainKeys(KEYS), () => 'v')
  await onEach((port, i) => tell(port, 'FUNCTION', 'LOAD', code(i)))
  const { manifest } = await backupCluster(cluster.seeds, join(folder, name))
  await empty()
  return { from: join(folder, name), manifest }
}

const functions = () => onEach((port) => tell(port, 'FUNCTION', 'LIST'))
const NONE = ['', '', '']

describe('masters that do not have the same functions', () => {
  it.each([
    [
      'code',
      (i: number) => library('app', i === 0 ? 'old' : 'new'),
      'library of functions app has other code in',
    ],
    ['names', (i: number) => library(i === 0 ? 'one' : 'two', 'x'), 'the function hello is in the library'],
  ])(
    'other %s: told by the backup and by verify, refused before anything is written, or left out',
    async (name, code, told) => {
      const { from, manifest } = await backUp(name, code)
      expect(manifest.warnings).toEqual([expect.stringContaining(told)])
      expect(manifest.warnings[0]).toContain('FUNCTION LOAD REPLACE')
      expect((await verifyBackup(from)).faults).toEqual([expect.stringContaining(told)])

      const refused = await restoreCluster(from, cluster.seeds).catch((error) => error)
      expect(refused).toBeInstanceOf(BackupFolderError)
      expect(refused.message).toContain(told)
      expect(refused.message).toContain('--skip-functions')
      expect((await contentsOf(cluster.seeds)).size).toBe(0)
      expect(await functions()).toEqual(NONE)

      expect(await restoreCluster(from, cluster.seeds, { skipFunctions: true })).toMatchObject({ keys: KEYS })
      expect(await functions()).toEqual(NONE)
    },
  )
})

it('a backup of masters that have the same says nothing of it, and brings them', async () => {
  const { from, manifest } = await backUp('same', () => library('app', 'here'))
  expect(manifest.warnings).toEqual([])
  await restoreCluster(from, cluster.seeds)
  expect(await onEach((port) => tell(port, 'FCALL', 'hello', 0))).toEqual(['here', 'here', 'here'])
})

it('a function that the cluster has in another library is named before anything is written', async () => {
  const { from } = await backUp('there', () => library('app', 'x'))
  const { port } = cluster.nodes[1] ?? { port: 0 }
  await tell(port, 'FUNCTION', 'LOAD', library('mine', 'mine', 'HELLO'))
  const refused = await restoreCluster(from, cluster.seeds).catch((error) => error)
  expect(refused).toBeInstanceOf(RestoreRefusedError)
  expect(refused.message).toMatch(
    new RegExp(`hello is in the library mine of 127.0.0.1:${port} and in .* app of`),
  )
  expect((await contentsOf(cluster.seeds)).size).toBe(0)
  expect(await tell(port, 'FCALL', 'hello', 0)).toBe('mine')
})

it('code that a node does not take is found out before the first key', async () => {
  const { from } = await backUp('refused', () => library('app', 'x'))
  const { bytes } = NodeLink.prototype
  onTestFinished(() => {
    NodeLink.prototype.bytes = bytes
  })
  /** As of a server that knows another language of functions than the one that reads the backup. */
  NodeLink.prototype.bytes = function (this: NodeLink, command, ...args) {
    return bytes.call(this, command, ...(args[0] === 'LOAD' ? ['LOAD', '#!lua name=app\nserver.x()'] : args))
  }
  const refused = await restoreCluster(from, cluster.seeds).catch((error) => error)
  expect(refused).toBeInstanceOf(RestoreRefusedError)
  expect(refused.message).toMatch(
    /127.0.0.1:\d+ does not take the library of functions app: ERR .*--skip-functions/,
  )
  expect((await contentsOf(cluster.seeds)).size).toBe(0)
})
