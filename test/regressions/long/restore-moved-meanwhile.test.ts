import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, it, onTestFinished } from 'vitest'
import {
  backupCluster,
  type LocalCluster,
  RestoreIncompleteError,
  restoreCluster,
} from '../../../src/cluster/index.js'
import { NodeLink } from '../../../src/cluster/link.js'
import { slotOf } from '../../../src/keys/slots.js'
import { owns, tell } from '../../helpers/nodes.js'
import { openCluster } from '../../helpers/own-cluster.js'
import { until } from '../../helpers/until.js'
import { mastersOf } from '../../operations/common/strays.js'

/** A key whose time has shifted by a move is given its exact time again. That is a write, and the look on which it relies may be old by then. */
const NAME = 'moved'
let cluster: LocalCluster
let dispose: () => Promise<void>
let folder: string
/** Of the master that has the key. */
let port: number

beforeAll(async () => {
  ;({ cluster, dispose } = await openCluster({ replicasPerMaster: 0 }))
  folder = join(cluster.dataDir, '..', 'backups')
  const owner = (await mastersOf(cluster)).find((master) => owns(master, slotOf(NAME)))
  port = owner?.port ?? 0
})
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
  await dispose()
})
beforeEach(empty)

async function empty(): Promise<void> {
  for (const node of cluster.nodes) await tell(node.port, 'FLUSHALL')
}

/** A restore that was broken off when the key was there, and a move that has shifted its time since. */
async function brokenOff(to: string, { endsAtMs, shiftMs }: { endsAtMs: number; shiftMs: number }) {
  const backup = join(folder, to)
  await tell(port, 'SET', NAME, 'of the backup', 'PXAT', endsAtMs)
  await backupCluster(cluster.seeds, backup)
  await empty()
  const ending = new AbortController()
  const onProgress = ({ state }: { state: string }) => void (state === 'comparing' && ending.abort())
  await expect(restoreCluster(backup, cluster.seeds, { signal: ending.signal, onProgress })).rejects.toThrow(
    RestoreIncompleteError,
  )
  expect(await tell(port, 'PEXPIREAT', NAME, endsAtMs + shiftMs)).toBe('1')
  return backup
}

/** `act` is done once, when a command has been answered. */
function doAfter(
  isIt: (link: NodeLink, command: string, args: readonly unknown[]) => boolean,
  act: (link: NodeLink) => Promise<unknown>,
): () => boolean {
  const { bytes } = NodeLink.prototype
  let acting: Promise<unknown> | undefined
  onTestFinished(() => {
    NodeLink.prototype.bytes = bytes
  })
  NodeLink.prototype.bytes = async function (this: NodeLink, command, ...args) {
    const answer = await bytes.call(this, command, ...args)
    if (!acting && isIt(this, command, args)) {
      acting = act(this)
      await acting
    }
    return answer
  }
  return () => acting !== undefined
}

const isTarget = ({ address }: NodeLink) => cluster.nodes.some((node) => node.port === address.port)

it('what a client has written since the look gets no end', async () => {
  const backup = await brokenOff('written', { endsAtMs: Date.now() + 86_400_000, shiftMs: 300 })
  const hasWritten = doAfter(
    (link, command, [name]) => isTarget(link) && command === 'GETRANGE' && String(name) === NAME,
    () => tell(port, 'SET', NAME, 'mine'),
  )
  const failure = await restoreCluster(backup, cluster.seeds).catch((error) => error)
  expect(hasWritten()).toBe(true)
  expect([await tell(port, 'GET', NAME), await tell(port, 'PEXPIRETIME', NAME)]).toEqual(['mine', '-1'])
  expect(failure).toBeInstanceOf(RestoreIncompleteError)
  expect(failure.message).toContain(`${NAME} on 127.0.0.1:${port} is there otherwise than in the backup`)
})

it('nor does it end at a key that has run out in the backup, and not yet where it was moved', async () => {
  const backup = await brokenOff('run-out', { endsAtMs: Date.now() + 6_000, shiftMs: 3_000 })
  const hasRunOut = doAfter(
    (link, command, [script]) => !isTarget(link) && command === 'EVAL' && String(script).includes('SCAN'),
    (link) =>
      until(
        'it has run out',
        () => link.reply('EXISTS', NAME),
        (there) => there === 0,
      ),
  )
  expect(await tell(port, 'EXISTS', NAME)).toBe('1')
  const report = await restoreCluster(backup, cluster.seeds)
  expect(report).toMatchObject({ resumed: true, keys: 0, expired: 1 })
  expect(report.files.map(({ found }) => found)).toEqual([0, 0, 0])
  expect(hasRunOut()).toBe(true)
})
