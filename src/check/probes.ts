import { setTimeout as sleep } from 'node:timers/promises'
import keySlot from 'cluster-key-slot'
import type { LinkOptions } from '../cluster/link.js'
import { RESTORE_KEY } from '../cluster/own-keys.js'
import { isForbidden } from '../cluster/replies.js'
import { ALL_SLOTS, parseOpenSlots, slotsIn } from '../cluster/slots.js'
import { TlsError } from '../errors.js'
import { type HostFacts, hostFacts } from './host.js'
import { type Knock, knock } from './knock.js'
import { type Reader, type Restore, withReader } from './reader.js'
import { type ClusterNode, isReplica, type Live, type Sight } from './scene.js'

/** Keys that a master has in slots which it does not serve. */
export interface Strays {
  readonly keys: number
  readonly slots: readonly number[]
}

export interface Clock {
  readonly aheadMs: number
  readonly giveOrTakeMs: number
}

/** What a look at the nodes does not show, and had to be asked for. All by the node's name. */
export interface Probed {
  readonly knocks: ReadonlyMap<string, Knock>
  readonly clocks: ReadonlyMap<string, Clock>
  readonly strays: ReadonlyMap<string, Strays>
  /** When each node's certificate runs out, in ms since 1970; without the nodes that do not speak TLS. */
  readonly certificates: ReadonlyMap<string, number>
  /** Of the node that knows: a restore that is under way, or was broken off. */
  readonly restores: ReadonlyMap<string, Restore>
  /** Each user's rules; without the nodes that do not let us see them. */
  readonly users: ReadonlyMap<string, ReadonlyMap<string, string>>
  /** A digest of each library of functions; without the nodes that do not let us see them. */
  readonly functions: ReadonlyMap<string, ReadonlyMap<string, string>>
  /** Whether a node's bus port takes connections from here; only of those that others miss. */
  readonly bus: ReadonlyMap<string, boolean>
  readonly host: HostFacts | null
  /** What could not be looked at, and why. */
  readonly notes: readonly string[]
}

/** The longest that looking for stray keys may take, in ms; what was not looked at by then is said. */
const STRAYS_MS = 5_000
/** Questions on their way to one node at a time. */
const AT_ONCE = 1_000

export async function probe(sight: Sight, options: LinkOptions): Promise<Probed> {
  const notes: string[] = []
  const clocks = new Map<string, Clock>()
  const strays = new Map<string, Strays>()
  const certificates = new Map<string, number>()
  const restores = new Map<string, Restore>()
  const users = new Map<string, ReadonlyMap<string, string>>()
  const functions = new Map<string, ReadonlyMap<string, string>>()
  const deadline = performance.now() + STRAYS_MS

  async function question(node: Live): Promise<void> {
    if (!node.config) notes.push(`${node.name} does not let us see its settings (CONFIG GET)`)
    try {
      await withReader(node.address, options, async (reader) => {
        if (reader.certificateEndsMs !== undefined) certificates.set(node.name, reader.certificateEndsMs)
        await unlessForbidden(node, 'its clock (TIME)', async () =>
          clocks.set(node.name, await reader.clock()),
        )
        await unlessForbidden(node, 'its users (ACL LIST)', async () =>
          users.set(node.name, await reader.users()),
        )
        await unlessForbidden(node, 'its functions (FUNCTION LIST)', async () =>
          functions.set(node.name, await reader.functions()),
        )
        const member = sight.cluster.find(({ name }) => name === node.name)
        if (member && mayKnowRestore(member)) {
          await unlessForbidden(node, `whether a restore is under way (${RESTORE_KEY})`, async () => {
            const restore = await reader.restore()
            if (restore) restores.set(node.name, restore)
          })
        }
        if (member && mayHaveStrays(member)) {
          await unlessForbidden(node, 'keys in slots of others (CLUSTER COUNTKEYSINSLOT)', async () => {
            const found = await straysOf(member, reader, deadline)
            if (!found.complete) notes.push(`${node.name}: not every slot was looked at within 5 s`)
            if (found.keys > 0) strays.set(node.name, found)
          })
        }
      })
    } catch (error) {
      notes.push(`${node.name} was not asked for more: ${(error as Error).message}`)
    }
  }
  async function unlessForbidden(node: Live, what: string, look: () => Promise<unknown>): Promise<void> {
    try {
      await look()
    } catch (error) {
      if (!isForbidden(error as Error)) throw error
      notes.push(`${node.name} does not let us see ${what}`)
    }
  }

  const missed = sight.members.filter(({ live, missedBy }) => live && missedBy.length > 0)
  const [knocks, bus, host] = await Promise.all([
    // Of TLS that does not come about, the reason is known already.
    byName(
      sight.silent.filter(({ error }) => !(error instanceof TlsError)),
      ({ address }) => knock(address, options),
    ),
    byName(missed, async ({ line, live }) => {
      const address = { host: live?.address.host ?? line.host, port: line.busPort }
      return ['silence', 'hang-up', 'answer'].includes((await knock(address, busOptions(options))).behind)
    }),
    hostFacts(sight.live),
    Promise.all(sight.live.map(question)),
  ])
  return { knocks, clocks, strays, certificates, restores, users, functions, bus, host, notes: notes.sort() }
}

/** The bus speaks a protocol of its own; whether it takes the connection is all that is of interest. */
const busOptions = ({ timeoutMs }: LinkOptions): LinkOptions => (timeoutMs === undefined ? {} : { timeoutMs })

async function byName<T extends { readonly name: string }, R>(
  nodes: readonly T[],
  ask: (node: T) => Promise<R>,
): Promise<ReadonlyMap<string, R>> {
  return new Map(await Promise.all(nodes.map(async (node) => [node.name, await ask(node)] as const)))
}

/** Replicas hold what their masters hold; an empty node has nothing to look for. */
const mayHaveStrays = (node: ClusterNode) => !isReplica(node) && node.info.has('db0')

const RESTORE_SLOT = keySlot(RESTORE_KEY)
const mayKnowRestore = (node: ClusterNode) =>
  mayHaveStrays(node) &&
  node.self.slots.some(([first, last]) => first <= RESTORE_SLOT && RESTORE_SLOT <= last)

/** Keys in slots that a master neither serves nor is just being given: nobody finds them there. */
async function straysOf(
  { self }: ClusterNode,
  reader: Reader,
  deadline: number,
): Promise<Strays & { complete: boolean }> {
  const own = new Set([
    ...slotsIn(self.slots),
    ...parseOpenSlots(self.openSlots).flatMap(({ slot, direction }) =>
      direction === 'importing' ? [slot] : [],
    ),
  ])
  const foreign = slotsIn([[0, ALL_SLOTS - 1]]).filter((slot) => !own.has(slot))
  let keys = 0
  const slots: number[] = []
  for (let at = 0; at < foreign.length; at += AT_ONCE) {
    if (performance.now() > deadline) return { keys, slots, complete: false }
    const group = foreign.slice(at, at + AT_ONCE)
    const counts = await Promise.all(group.map((slot) => reader.keysInSlot(slot)))
    counts.forEach((count, index) => {
      if (count > 0) slots.push(group[index] ?? 0)
      keys += count
    })
    // Between two groups the node serves others, and so do we.
    await sleep(0)
  }
  return { keys, slots, complete: true }
}
