import { InvalidOptionError } from '../../errors.js'
import { isMeant, nameOf } from '../link.js'
import { hasMet } from '../meet.js'
import { redisCli } from '../redis-cli.js'
import type { NodeView } from '../replies.js'
import { calledBy, selfOf, witnessesOf } from '../views.js'
import type { Known } from './known.js'
import type { FixStep } from './steps.js'

/** @throws InvalidOptionError for one that nobody knows, that lives, or whose data a replica has or may have that is not named, too */
export function nodesToForget(names: readonly string[], known: Known): NodeView[] {
  const nodes = new Map(names.flatMap((name) => named(name, known)).map((node) => [node.id, node]))
  for (const node of nodes.values()) mustBeWhole(node, new Set(nodes.keys()), known)
  return [...nodes.values()]
}

/** One that is only being introduced may be listed several times, each with an id that somebody made up. */
function named(name: string, known: Known): NodeView[] {
  const listed = witnessesOf(known.evidence.observation).flatMap(({ view }) => view)
  const nodes = [...new Map(listed.map((node) => [node.id, node])).values()].filter((node) =>
    isMeant(node, name),
  )
  if (nodes.length === 0) throw new InvalidOptionError('forget', `no node that answers knows ${name}`)
  for (const node of nodes) {
    if (known.isUp(node.id))
      throw new InvalidOptionError('forget', `${name} answers; a node that lives would be back at once`)
    mustBeSilent(name, node, known)
  }
  return nodes
}

/**
 * Who has slots is given up with all who may have its data, or not at all: a replica that is started later finds its slots at others, with a later
 * epoch, follows one of them, and copies what that one has over all that is left of the shard. And who has none, with all who follow it: no replica
 * forgets its master, and none of these is promoted, so that it would be the only one to know it, for good.
 */
function mustBeWhole(node: NodeView, forgotten: ReadonlySet<string>, known: Known): void {
  const replicas = followersOf(node.id, known).filter(({ id }) => !forgotten.has(id))
  const up = replicas.find(({ id }) => known.isUp(id))
  const replica = up ?? replicas.find(hasAddress) ?? replicas[0]
  if (!replica) return
  const listed = witnessesOf(known.evidence.observation).flatMap(({ view }) => view)
  const hasSlots = listed.some(({ id, slots }) => id === node.id && slots.length > 0)
  throw new InvalidOptionError(
    'forget',
    `${calledBy(node)} ${(hasSlots ? withData : following)(node, replica, known)}`,
  )
}

/** One that answers knows best whom it follows. */
function followersOf(id: string, known: Known): NodeView[] {
  const selves = witnessesOf(known.evidence.observation).flatMap((witness) => selfOf(witness) ?? [])
  const down = known.replicasOf(id).filter((replica) => !known.isUp(replica.id))
  return [...selves.filter(({ masterId }) => masterId === id), ...down]
}

function withData(node: NodeView, replica: NodeView, known: Known): string {
  if (known.isUp(replica.id))
    return `owns slots, and ${nameOf(replica)} has its data; start it again, or let that one take over: ${takeOver(replica)}`
  return (
    `owns slots, and ${calledBy(replica)}, its replica, may have its data` +
    `${hasAddress(replica) ? `: start it, and let it take over: ${takeOver(replica)}` : ''}; ${orBoth(node, known)}`
  )
}

function following(node: NodeView, replica: NodeView, known: Known): string {
  const master = leastFollowed(known)
  const other = `let it follow another one: ${redisCli(replica, {}, `CLUSTER REPLICATE ${master?.id ?? 'ID'}`)}`
  if (known.isUp(replica.id))
    return `has no slots, and ${nameOf(replica)} follows it, which cannot forget its master; ${other}`
  return (
    `has no slots, and ${calledBy(replica)}, its replica, would follow it still` +
    `${hasAddress(replica) ? `: start it, and ${other}` : ''}; ${orBoth(node, known)}`
  )
}

const orBoth = ({ id }: NodeView, known: Known) => `or, if both are gone for good: ${forgetting(id, known)}`

/** A master with slots that has the fewest replicas. */
function leastFollowed(known: Known): NodeView | undefined {
  const count = ({ id }: NodeView) => known.replicasOf(id).length
  return known.masters
    .flatMap((witness) => selfOf(witness) ?? [])
    .filter(({ slots }) => slots.length > 0)
    .sort((one, other) => count(one) - count(other))[0]
}

export const hasAddress = ({ flags }: NodeView) => !flags.includes('noaddr')

/** Also where most masters are gone, or count it as too old to be elected. */
export const takeOver = (replica: NodeView) => redisCli(replica, {}, 'CLUSTER FAILOVER TAKEOVER')

/** What gives up a node, and whoever may have what it had. */
export const forgetting = (id: string, known: Known) =>
  `shardq cluster fix ${[
    id,
    ...known.replicasOf(id).flatMap((replica) => (known.isUp(replica.id) ? [] : [replica.id])),
  ]
    .map((each) => `--forget ${each}`)
    .join(' ')}`

/** It may only not answer us: it serves its programs, and with its slots at others its keys would be lost. */
function mustBeSilent(name: string, { id, host, port }: NodeView, { evidence }: Known): void {
  const { nodes } = evidence.observation
  const hears = (line: NodeView) =>
    line.id === id && hasMet(line) && !line.flags.some((flag) => flag === 'noaddr' || flag.startsWith('fail'))
  const witness = witnessesOf(evidence.observation).find(({ view }) => view.some(hears))
  if (!witness) return
  const asked = nodes.find((node) => node.name === nameOf({ host, port }))
  const answer = asked && !asked.up ? asked.error.message : 'it was not asked'
  throw new InvalidOptionError(
    'forget',
    `${name} lives: ${witness.name} hears from it, though we do not (${answer}); let it answer here again ` +
      '(maxclients, a firewall, its password), or end it if it is to go; one that died just now counts as dead after ' +
      'cluster-node-timeout, so try again then',
  )
}

export function forget(node: NodeView, known: Known): FixStep {
  const at = witnessesOf(known.evidence.observation)
    .filter(({ view }) => view.some(({ id }) => id === node.id))
    .flatMap((witness) => selfOf(witness)?.id ?? [])
  const party = { id: node.id, host: node.host, port: node.port, name: nameOf(node) }
  return { kind: 'forget', node: party, at: at.map((id) => known.party(id)) }
}
