import { nameOf } from '../link.js'
import { isRefusal } from '../shutdown.js'
import { inFlights } from './flights.js'
import type { Nodes } from './nodes.js'
import { ownersIn, selfIn } from './opinions.js'
import { type Party, StepRefused } from './party.js'
import type { KeyToCopy } from './pieces.js'
import { partitionTag } from './queue-keys.js'

/** Keys that the old owner forgets in one go, about a millisecond; the largest first. */
const KEYS_PER_CALL = 2_000
/** UNLINK key by key, since one of them may have run out of time, and then a server refuses all. */
const UNLINK_ALL = `local gone = {}
for i, name in ipairs(ARGV) do gone[i] = redis.pcall('UNLINK', name) == 1 and 1 or 0 end
return gone`
/**
 * KEYS: one that is not there, to be removed from the append-only file and at the replicas all the same. In one go, since a tool that ends between the
 * two would leave an empty string under the name of a partition's key, of which nobody could know any more what it is.
 */
const MAKE_AND_UNLINK = `#!lua flags=allow-oom
redis.call('SET', KEYS[1], '')
return redis.call('UNLINK', KEYS[1])`

/**
 * The old owner forgets what it had of a slot that is another's by now. It would do so by itself when it hears of it, but only
 * in memory: before Redis 7.2 neither its append-only file nor its replica is told, and would bring the keys back.
 */
export async function forgetKeys(
  nodes: Nodes,
  { slot, from, to }: { readonly slot: number; readonly from: Party; readonly to: Party },
  keys: readonly KeyToCopy[],
): Promise<void> {
  const link = await nodes.link(from)
  const names = [...keys].sort((a, b) => b.bytes - a.bytes).map(({ name }) => name)
  const late: Buffer[] = []
  for (let at = 0; at < names.length; at += KEYS_PER_CALL) {
    const some = names.slice(at, at + KEYS_PER_CALL)
    const gone = (await link.bytes('EVAL', UNLINK_ALL, 0, ...some)) as number[]
    late.push(...some.filter((_, i) => gone[i] !== 1))
  }
  if (late.length > 0) await wash(nodes, { slot, from, to }, late)
}

/**
 * As `forgetKeys`, of a claim that was cut off before. What keys there were is known by whoever still has some: the old owner, its replicas, which
 * were not told, and the new one. Keys that are no partition's had left before the claim.
 */
export async function forgetPartitions(
  nodes: Nodes,
  claimed: { readonly slot: number; readonly from: Party; readonly to: Party },
): Promise<void> {
  const { slot, from, to } = claimed
  const replicas = (await nodes.view(from)).filter(
    ({ masterId, flags }) => masterId === from.id && !flags.includes('fail'),
  )
  const holders = [from, to, ...replicas.map((node) => ({ ...node, name: nameOf(node) }))]
  const names = (await Promise.all(holders.map((each) => nodes.keyNames(each, slot)))).flat()
  const keys = new Map(names.map((name) => [name.toString('latin1'), { name, bytes: 0 }]))
  await forgetKeys(
    nodes,
    claimed,
    [...keys.values()].filter(({ name }) => partitionTag(name) !== undefined),
  )
}

/** It has heard before we came, and forgotten them itself: made once more and removed, they are removed everywhere. */
async function wash(
  nodes: Nodes,
  { slot, from, to }: { readonly slot: number; readonly from: Party; readonly to: Party },
  names: readonly Buffer[],
): Promise<void> {
  const self = selfIn(await nodes.view(from))
  // It was its last slot, and it takes over all that its new master has.
  if (self?.role !== 'master') return
  if (ownersIn([self], [slot])[0]) return expectRemoved(nodes, { slot, from, to }, names)
  await nodes.setSlot(from, slot, 'IMPORTING', to.id)
  const link = await nodes.link(from)
  const remove = (name: Buffer) =>
    Promise.all([link.text('ASKING'), link.bytes('EVAL', MAKE_AND_UNLINK, 1, name)])
  // It stays open then, by which the next call knows that there is something left to remove.
  await inFlights(names, remove).catch((error: Error) => {
    throw isRefusal(error) ? notRemoved({ slot, from, to }, error.message) : error
  })
  await nodes.setSlot(from, slot, 'STABLE')
}

/** It takes the slot for its own still, so it has not forgotten them: their time had run out, or it refused. @throws StepRefused */
async function expectRemoved(
  nodes: Nodes,
  { slot, from, to }: { readonly slot: number; readonly from: Party; readonly to: Party },
  names: readonly Buffer[],
): Promise<void> {
  const link = await nodes.link(from)
  const said = await inFlights(names, (name) =>
    link.bytes('UNLINK', name).then(
      () => null,
      ({ message }: Error) => (/^(MOVED|ASK) /.test(message) ? null : message),
    ),
  )
  const refusal = said.find((each) => each !== null)
  if (refusal === undefined) return
  throw notRemoved({ slot, from, to }, refusal)
}

const notRemoved = (
  { slot, from, to }: { readonly slot: number; readonly from: Party; readonly to: Party },
  said: string,
) =>
  new StepRefused(
    `${from.name} does not remove what it had of slot ${slot}, which is ${to.name}'s by now: ${said}`,
    'see to it that it takes writes; then: shardq cluster fix',
  )
