import { redisCli } from '../redis-cli.js'
import type { Move } from './move-keys.js'
import type { Nodes } from './nodes.js'
import { keys, StepRefused } from './party.js'
import { isCopiesKey } from './queue-keys.js'

/**
 * Before a slot is opened towards a node that has keys of it already. Where a move was broken off they came by that: the owner sends clients there
 * still, or there is a note. Else they are of long ago, and what the owner has not may have been deleted there since: with the claim it would be
 * served again. What both have is compared when the slot is open.
 * @throws StepRefused naming a key, with both ways out
 */
export async function expectNoOldKeys(
  nodes: Nodes,
  { slot, from, to }: Pick<Move, 'slot' | 'from' | 'to'>,
): Promise<void> {
  const there = await nodes.keyNames(to, slot)
  if (there.length === 0 || there.some(isCopiesKey)) return
  const open = await nodes.openSlot(from, slot)
  if (open?.direction === 'migrating' && open.peer === to.id) return
  const here = new Set((await nodes.keyNames(from, slot)).map((name) => name.toString('latin1')))
  const old = there.filter((name) => !here.has(name.toString('latin1')))
  const [first] = old
  if (first === undefined) return
  const remove =
    `printf 'CLUSTER SETSLOT ${slot} IMPORTING ${from.id}\\nASKING\\nDEL %s\\nCLUSTER SETSLOT ${slot} STABLE\\n' ` +
    `KEY | ${redisCli(to, {})}`
  throw new StepRefused(
    `${to.name} has ${keys(old.length)} of slot ${slot}, such as ${first}, which ${from.name}, its owner, has not: ` +
      'deleted there since, or lost ones, nobody can know, and with the slot they would be served again',
    `look at them: ${redisCli(to, {}, `CLUSTER GETKEYSINSLOT ${slot} 100`)}; to move them to the owner: shardq cluster fix --bring-home ; ` +
      `or, to remove one: ${remove} ; then again`,
  )
}
