import { RestoreRefusedError } from '../errors.js'
import type { RedisServer } from '../find-server.js'
import type { NodeLink } from '../link.js'
import type { BackupManifest } from './manifest.js'
import { FOOTER_BYTES } from './pages.js'
import type { TargetNode } from './target.js'

/**
 * The version of the RDB format that a server writes, and the newest that it reads: RESTORE refuses what is of a newer one. It stands in the
 * footer of everything that a server dumps, and FUNCTION DUMP dumps something on an empty server too.
 */
async function formatOf(link: NodeLink): Promise<number> {
  const dump = (await link.bytes('FUNCTION', 'DUMP')) as Buffer
  return dump.readUInt16LE(dump.length - FOOTER_BYTES)
}

/**
 * Whether every node takes keys from the server that reads the backup. Asked before anything is written: half way, a restore would have
 * to be thrown away.
 * @throws RestoreRefusedError with the way out, if there is one
 */
export async function mustTake(
  nodes: readonly TargetNode[],
  reader: { readonly server: RedisServer; readonly link: NodeLink },
  manifest: BackupManifest,
): Promise<void> {
  const read = await formatOf(reader.link)
  const written = Math.max(...manifest.shards.map(({ rdbVersion }) => rdbVersion))
  for (const { name, link } of nodes) {
    const taken = await formatOf(link)
    if (taken >= read) continue
    const knows = `${name} takes keys of RDB format ${taken} at most`
    if (written > taken)
      throw new RestoreRefusedError(
        `${knows}, and the backup is of format ${written}, of ${manifest.server.flavour} ${manifest.server.version}; restore it into ` +
          'a cluster of that version or a newer one',
      )
    const { flavour, version, path } = reader.server
    throw new RestoreRefusedError(
      `${knows}, and ${flavour} ${version} (${path}), which reads the backup, hands them over in format ${read}; have the server of ` +
        'the cluster itself read it: --redis-path',
    )
  }
}
