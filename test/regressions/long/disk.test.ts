import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type LocalCluster, nameOf, verifyBackup } from '../../../src/cluster/index.js'
import { expectClean } from '../../helpers/check-clean.js'
import { MAIN } from '../../helpers/cli.js'
import { openCluster } from '../../helpers/own-cluster.js'
import { plainKeys, writeKeys } from '../../helpers/plain-keys.js'
import { tempDir } from '../../helpers/temp-dir.js'

let cluster: LocalCluster
let dispose: () => Promise<void>
beforeAll(async () => {
  ;({ cluster, dispose } = await openCluster({ replicasPerMaster: 0 }))
})
afterAll(() => dispose?.())

const seed = () => nameOf(cluster.seeds[0] as { host: string; port: number })

/** A disk on which no file grows beyond so many blocks of 512 bytes. It needs no rights, and no disk that is full for others too. */
async function backupTo(folder: string, blocks: number) {
  const words = [process.execPath, MAIN, 'cluster', 'backup', '--to', folder, '--node', seed()]
  const limited = ['-c', `ulimit -f ${blocks}; exec "$@"`, 'sh', ...words]
  const child = spawn('sh', limited, { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, said }
}

it.each([
  ['its first line', 0, 0],
  ['its manifest', 2, 0],
  ['the data of a node', 32, 300],
])('a backup for which the disk has no room, at %s, says so and leaves nothing', async (_, blocks, keys) => {
  // What cannot be made smaller, of some hundred bytes each: most of it is more than the limit.
  await writeKeys(cluster, plainKeys(keys), () => randomBytes(200).toString('base64'))
  const folder = join(await tempDir(), 'backup')
  const { code, said } = await backupTo(folder, blocks)
  expect(said).toMatch(/✗ .*backup: EFBIG: file too large/)
  expect(said).not.toContain('    at ')
  expect(code).toBe(1)
  expect(existsSync(folder)).toBe(false)
  await expectClean(cluster.seeds[0])
  // With room again, at the same place.
  expect((await backupTo(folder, 1_000_000)).code).toBe(0)
  expect((await verifyBackup(folder)).faults).toEqual([])
})
