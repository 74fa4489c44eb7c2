import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { NodeStartError } from './errors.js'
import type { RedisServer } from './find-server.js'
import { type NodePlace, startNode } from './node.js'
import type { ProcessIdentity } from './processes.js'

/** Where a server writes down who it is and whom it knows. */
export const NODES_FILE = 'nodes.conf'

/**
 * As `startNode`. A server that knows shards by ids (Redis 7.2, Valkey 8) and has lived beside one that does not (Redis 7.0) has made ids
 * up for master and replica that do not match, writes them down, and does not start on them: "corrupted cluster config file". The ids
 * say nothing that the rest of the file does not say, and are told again by the others, so they are left out, and it is started once
 * more. Seen with Valkey 8.0.1; redis issues 12685 and 13128.
 */
export async function startNodeAnyhow(
  server: RedisServer,
  place: NodePlace,
  options: { signal?: AbortSignal | undefined } = {},
): Promise<ProcessIdentity> {
  try {
    return await startNode(server, place, options)
  } catch (error) {
    const stumbled = error instanceof NodeStartError && /corrupted cluster config file/.test(error.log)
    if (!stumbled || !(await leaveOutShardIds(place.dir))) throw error
    return startNode(server, place, options)
  }
}

/** @returns whether there were any */
async function leaveOutShardIds(dir: string): Promise<boolean> {
  const path = join(dir, NODES_FILE)
  const text = await readFile(path, 'utf8')
  const without = withoutShardIds(text)
  if (without === text) return false
  await writeFile(`${path}.new`, without)
  await rename(`${path}.new`, path)
  return true
}

/** `id host:port@busport,hostname,tls-port=0,shard-id=... flags` */
export const withoutShardIds = (text: string) => text.replaceAll(/,shard-id=[0-9a-f]*/g, '')
