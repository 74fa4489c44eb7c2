import { access } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { shellWord } from '../shell.js'
import { DEFAULT_DATA_DIR, MANIFEST } from './data-dir.js'
import type { PortHolder } from './node.js'

/** A server that has a port of ours, and the cluster that it is a node of. */
export interface NamedHolder {
  /** To be said after `is in use by`. */
  readonly text: string
  /** The data folder of its cluster, where `shardq cluster up` has made it; else null. */
  readonly dataDir: string | null
  /** The command that ends it. */
  readonly stop: string
}

/** What holds a port, and how it is ended. */
export async function nameHolderOf({ pid, dir }: PortHolder): Promise<NamedHolder> {
  const dataDir = dir === null ? null : await dataDirOf(dir)
  const where = dir === null ? '' : `, which works in ${dir}`
  return dataDir === null
    ? { text: `a Redis server, pid ${pid}${where}`, dataDir, stop: `kill ${pid}` }
    : { text: `a node of the cluster in ${dataDir}, pid ${pid}`, dataDir, stop: stopCommand(dataDir) }
}

/** The data folder above the folder of a node; null where it is none of ours. */
async function dataDirOf(dir: string): Promise<string | null> {
  if (!/^node_\d+$/.test(basename(dir))) return null
  const dataDir = dirname(dir)
  return access(join(dataDir, MANIFEST)).then(
    () => dataDir,
    () => null,
  )
}

/** As it is typed here. */
export function stopCommand(dataDir: string): string {
  const isDefault = relative(DEFAULT_DATA_DIR, dataDir) === ''
  return `shardq cluster stop${isDefault ? '' : ` --data-dir ${shellWord(dataDir)}`}`
}
