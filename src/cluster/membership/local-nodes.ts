import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { nodeDir } from '../data-dir.js'
import type { Address } from '../link.js'
import { HOST } from '../ports.js'
import { parseClusterNodes } from '../replies.js'
import { NODES_FILE } from '../shard-ids.js'

/** Of a node of a cluster, which one of a data folder it is: by its port. Undefined: it is none. */
export type LocalPort = (node: Address & { readonly id: string }) => number | undefined

/**
 * Tells nodes of a data folder from those of other hosts, which may have the same ports: by the id that each has written down, whatever
 * address it goes by. Of one that has written none down, by its address.
 */
export async function localPorts(dataDir: string, ports: readonly number[]): Promise<LocalPort> {
  const ids = new Map<string, number>()
  for (const port of ports) {
    const id = await idIn(join(nodeDir(dataDir, port), NODES_FILE))
    if (id !== undefined) ids.set(id, port)
  }
  return ({ id, host, port }) => ids.get(id) ?? (host === HOST && ports.includes(port) ? port : undefined)
}

async function idIn(path: string): Promise<string | undefined> {
  try {
    const lines = (await readFile(path, 'utf8')).split('\n').filter((line) => !line.startsWith('vars '))
    return parseClusterNodes(lines.join('\n'), HOST).find(({ myself }) => myself)?.id
  } catch {
    // It was never started, or was killed while it wrote its first.
    return undefined
  }
}
