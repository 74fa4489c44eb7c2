import { inspectAny, type LocalCluster, nameOf } from '../../../src/cluster/index.js'
import { withLink } from '../../../src/cluster/link.js'
import type { Party } from '../../../src/cluster/move/index.js'
import { OPERATION_KEY } from '../../../src/cluster/own-keys.js'
import { slotOf } from '../../../src/keys/slots.js'
import { owns } from '../../helpers/nodes.js'

export interface Master extends Party {
  readonly slots: readonly (readonly [number, number])[]
}

/** The machine may be busy, and who looks is not what is looked at. */
const LOOK_MS = 60_000

export async function mastersOf(cluster: LocalCluster): Promise<Master[]> {
  const { nodes } = await inspectAny(cluster.seeds, { timeoutMs: LOOK_MS })
  return nodes.filter(({ role }) => role === 'master').map((node) => ({ ...node, name: nameOf(node) }))
}

/**
 * What operations and connected queues write by themselves: the lock, and what is written to see what a replica confirms; of an operation it
 * runs out within seconds.
 */
export const isPassing = (name: string) =>
  name === OPERATION_KEY ||
  name.endsWith(':probe') ||
  /^shardq:(ready:[0-9a-f]+:\d+|confirm:\{.*\}:[0-9a-f]+)$/.test(name)

/** Keys on a master that does not own their slot; nobody could read them. */
export async function straysOf(cluster: LocalCluster): Promise<string[]> {
  const masters = await mastersOf(cluster)
  const found = await Promise.all(
    masters.map(async (master) => {
      const names = await withLink(master, { timeoutMs: LOOK_MS }, (link) => link.bytes('KEYS', '*'))
      return (names as Buffer[])
        .filter((name) => !owns(master, slotOf(name.toString())) && !isPassing(name.toString()))
        .map((name) => `${name} of slot ${slotOf(name.toString())} on ${master.name}, which does not own it`)
    }),
  )
  return found.flat()
}
