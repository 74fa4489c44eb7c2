import { createHash } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Crc64 } from '../../src/cluster/backup/crc64.js'

export interface EditedManifest {
  shards: { [name: string]: unknown }[]
  [name: string]: unknown
}

const sha256 = (content: string | Buffer) => createHash('sha256').update(content).digest('hex')

/** Changes the manifest of a backup as somebody would who has its checksum right. */
export async function editManifest(
  dir: string,
  change: (manifest: EditedManifest) => unknown,
): Promise<void> {
  const manifest = JSON.parse(await readFile(join(dir, 'backup.json'), 'utf8')) as EditedManifest
  change(manifest)
  const text = JSON.stringify(manifest)
  await writeFile(join(dir, 'backup.json'), text)
  await writeFile(join(dir, 'backup.json.sha256'), `${sha256(text)}  backup.json\n`)
}

/** What the file of a shard is to hold, as somebody would write it who has all checksums right: puts them into it and the manifest. */
export async function withChecksums(dir: string, index: number, bytes: Buffer): Promise<Buffer> {
  const crc = new Crc64()
  crc.update(bytes.subarray(0, -8))
  crc.digest().copy(bytes, bytes.length - 8)
  await editManifest(dir, ({ shards }) =>
    Object.assign(shards[index] ?? {}, { bytes: bytes.length, sha256: sha256(bytes) }),
  )
  return bytes
}
