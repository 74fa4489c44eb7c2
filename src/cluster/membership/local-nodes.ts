import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { nodeDir } from '../data-dir.js'
import type { Address } from '../link.js'
import { HOST } from '../ports.js'
import { type NodeView, parseClusterNodes } from '../replies.js'
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
    const id = (await writtenView(dataDir, port)).find(({ myself }) => myself)?.id
    if (id !== undefined) ids.set(id, port)
  }
  return ({ id, host, port }) => ids.get(id) ?? (host === HOST && ports.includes(port) ? port : undefined)
}

/** Whom a node of a data folder knows, as it has written it down. Empty: it was never started, or was killed while it wrote its first. */
export async function writtenView(dataDir: string, port: number): Promise<NodeView[]> {
  try {
    const text = await readFile(join(nodeDir(dataDir, port), NODES_FILE), 'utf8')
    const lines = text.split('\n').filter((line) => !line.startsWith('vars '))
    return parseClusterNodes(lines.join('\n'), HOST)
  } catch {
    return []
  }
}
