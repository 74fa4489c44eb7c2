import { readFile, statfs } from 'node:fs/promises'
import { networkInterfaces, totalmem } from 'node:os'
import type { NodeObservation } from '../cluster/observer.js'

type Live = Extract<NodeObservation, { up: true }>

/** What this machine knows of a node that runs on it. */
export interface OnThisMachine {
  /** How much further the wall clock has come since its start than the clock that is never set, in s. */
  readonly clockJumpS: number
  /** The file system of its data folder; undefined where we may not look. */
  readonly disk: { readonly dir: string; readonly freeBytes: number; readonly bytes: number } | undefined
}

/** Facts of this machine that concern the nodes on it. */
export interface HostFacts {
  /** vm.overcommit_memory: 0, 1 or 2. */
  readonly overcommit: string
  /** Transparent huge pages: always, madvise or never. */
  readonly hugePages: string
  readonly memoryBytes: number
  /** By the node's name. */
  readonly nodes: ReadonlyMap<string, OnThisMachine>
}

/** The kernel counts in hundredths of a second towards programs, whatever it does inside. */
const TICKS_PER_S = 100

/** Null where none of the nodes runs here, or where this is no Linux: it is the only system that tells. */
export async function hostFacts(live: readonly Live[]): Promise<HostFacts | null> {
  if (process.platform !== 'linux') return null
  const nodes = new Map<string, OnThisMachine>()
  for (const node of live) {
    const facts = isThisMachine(node.address.host) ? await factsOf(node) : null
    if (facts) nodes.set(node.name, facts)
  }
  if (nodes.size === 0) return null
  return {
    overcommit: (await readIfThere('/proc/sys/vm/overcommit_memory')).trim(),
    hugePages: /\[(\w+)\]/.exec(await readIfThere('/sys/kernel/mm/transparent_hugepage/enabled'))?.[1] ?? '',
    memoryBytes: totalmem(),
    nodes,
  }
}

function isThisMachine(host: string): boolean {
  const own = Object.values(networkInterfaces()).flatMap((each) => each ?? [])
  return host === 'localhost' || host.startsWith('127.') || own.some(({ address }) => address === host)
}

/** Null when the pid is of another machine, behind a published port for one, and here means something else or nothing. */
async function factsOf({ info, config, address }: Live): Promise<OnThisMachine | null> {
  const pid = Number(info.get('process_id'))
  const title = await readIfThere(`/proc/${pid}/cmdline`)
  if (!/redis|valkey/.test(title) || !title.includes(String(address.port))) return null
  const stat = await readIfThere(`/proc/${pid}/stat`)
  const [bootedS = ''] = (await readIfThere('/proc/uptime')).split(' ')
  // Field 22; the name of the program, in parentheses, may hold spaces.
  const startedTicks = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19])
  const ranForS = Number(bootedS) - startedTicks / TICKS_PER_S
  const dir = config?.get('dir')
  return {
    clockJumpS: Number(info.get('uptime_in_seconds')) - ranForS,
    disk: dir === undefined ? undefined : await diskOf(dir),
  }
}

async function diskOf(dir: string): Promise<OnThisMachine['disk']> {
  try {
    const { bavail, blocks, bsize } = await statfs(dir)
    return { dir, freeBytes: bavail * bsize, bytes: blocks * bsize }
  } catch (error) {
    if (isOutOfSight(error)) return undefined
    throw error
  }
}

async function readIfThere(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    if (isOutOfSight(error)) return ''
    throw error
  }
}

const isOutOfSight = (error: unknown) =>
  ['ENOENT', 'EACCES', 'EPERM', 'ESRCH', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')
