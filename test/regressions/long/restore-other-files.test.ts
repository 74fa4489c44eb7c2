import { copyFile, cp, mkdir, rename, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, it, onTestFinished } from 'vitest'
import {
  BackupFolderError,
  backupCluster,
  type LocalCluster,
  RestoreIncompleteError,
  restoreCluster,
  verifyBackup,
} from '../../../src/cluster/index.js'
import { NodeLink } from '../../../src/cluster/link.js'
import { contentsOf } from '../../helpers/contents.js'
import { tell } from '../../helpers/nodes.js'
import { openCluster } from '../../helpers/own-cluster.js'
import { plainKeys, writeKeys } from '../../helpers/plain-keys.js'
import { tempDir } from '../../helpers/temp-dir.js'

/**
 * A restore opened each file by its name three times, hours apart: checked was one of Monday, and restored, with the id of that backup, one of
 * Tuesday, to which a link had been pointed or which had been copied over it.
 */
const [FIRST, LAST] = ['shard-0.rdb', 'shard-10923.rdb']
const CHANGED = /shard-\d+\.rdb: it was changed, or another was put in its place, after it was checked/
let cluster: LocalCluster
let dispose: () => Promise<void>
let folder: string
const written = new Map<string, Map<string, string>>()

beforeAll(async () => {
  ;({ cluster, dispose } = await openCluster({ replicasPerMaster: 0 }))
  folder = join(cluster.dataDir, '..', 'backups')
  await mkdir(folder)
  for (const day of ['monday', 'tuesday']) {
    await writeKeys(cluster, plainKeys(100), () => day)
    await backupCluster(cluster.seeds, join(folder, day))
    written.set(day, await contentsOf(cluster.seeds))
  }
})
afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
  await dispose()
})
beforeEach(async () => {
  for (const { port } of cluster.nodes) await tell(port, 'FLUSHALL')
})

/** Monday's backup, and what puts Tuesday's file in the place of one of it: under its name, or into it. */
async function monday() {
  const dir = join(await tempDir(), 'monday')
  await cp(join(folder, 'monday'), dir, { recursive: true, preserveTimestamps: true })
  const from = (file: string) => join(folder, 'tuesday', file)
  return {
    dir,
    replace: async (file: string) => {
      await copyFile(from(file), join(dir, 'new'))
      await rename(join(dir, 'new'), join(dir, file))
    },
    copyOver: (file: string) => copyFile(from(file), join(dir, file)),
  }
}

/** Does something once, in the moment in which our server is loading a file for the nth time. */
function whileLoading(times: number, act: () => Promise<unknown>): void {
  const { text } = NodeLink.prototype
  let left = times
  onTestFinished(() => {
    NodeLink.prototype.text = text
  })
  NodeLink.prototype.text = async function (this: NodeLink, command, ...args) {
    if (command === 'INFO' && args[0] === 'persistence' && --left === 0) await act()
    return text.call(this, command, ...args)
  }
}

it('a link that is pointed elsewhere meanwhile changes nothing', async () => {
  const latest = join(await tempDir(), 'latest')
  await symlink(join(folder, 'monday'), latest)
  let turning: Promise<void> | undefined
  const report = await restoreCluster(latest, cluster.seeds, {
    onProgress: ({ state }) => {
      if (state !== 'checked') return
      turning = rm(latest).then(() => symlink(join(folder, 'tuesday'), latest))
    },
  })
  await turning
  expect(await contentsOf(cluster.seeds)).toEqual(written.get('monday'))
  expect(report.folder).toBe(join(folder, 'monday'))
})

it.each(['replace', 'copyOver'] as const)(
  'a file that is another before anything is written: %s',
  async (how) => {
    const { dir, [how]: change } = await monday()
    whileLoading(1, () => change(LAST))
    const failure = await restoreCluster(dir, cluster.seeds).catch((error) => error)
    expect(failure).toBeInstanceOf(BackupFolderError)
    expect(failure.message).toMatch(CHANGED)
    expect((await contentsOf(cluster.seeds)).size).toBe(0)
  },
)

it.each(['replace', 'copyOver'] as const)('a file that is another while it is loaded: %s', async (how) => {
  const { dir, [how]: change } = await monday()
  whileLoading(4, () => change(FIRST))
  const failure = await restoreCluster(dir, cluster.seeds).catch((error) => error)
  expect(failure).toBeInstanceOf(RestoreIncompleteError)
  expect(failure.message).toMatch(CHANGED)
  const values = [...(await contentsOf(cluster.seeds))].filter(([key]) => key.startsWith('user:'))
  expect(values).toEqual([])
})

it.each(['replace', 'copyOver'] as const)(
  'verify vouches for no file that it has not checked: %s',
  async (how) => {
    const { dir, [how]: change } = await monday()
    whileLoading(2, () => change(LAST))
    const { faults, files } = await verifyBackup(dir)
    expect(faults).toEqual([expect.stringMatching(CHANGED)])
    expect(files).toHaveLength(2)
  },
)
