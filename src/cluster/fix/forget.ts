import { InvalidOptionError } from '../../errors.js'
import { isMeant, nameOf } from '../link.js'
import { hasMet } from '../meet.js'
import { redisCli } from '../redis-cli.js'
import type { NodeView } from '../replies.js'
import { selfOf, witnessesOf } from '../views.js'
import type { Known } from './known.js'
import type { FixStep } from './steps.js'

/**
 * One that is only being introduced may be listed several times, each with an id that somebody made up.
 * @throws InvalidOptionError for one that nobody knows, that lives, or whose data a replica has
 */
export function nodesToForget(name: string, known: Known): NodeView[] {
  const listed = witnessesOf(known.evidence.observation).flatMap(({ view }) => view)
  const nodes = [...new Map(listed.map((node) => [node.id, node])).values()].filter((node) =>
    isMeant(node, name),
  )
  if (nodes.length === 0) throw new InvalidOptionError('forget', `no node that answers knows ${name}`)
  for (const node of nodes) {
    if (known.isUp(node.id))
      throw new InvalidOptionError('forget', `${name} answers; a node that lives would be back at once`)
    mustBeSilent(name, node, known)
    const replica = known.views().find(({ id, masterId }) => masterId === node.id && known.isUp(id))
    if (replica && listed.some(({ id, slots }) => id === node.id && slots.length > 0))
      throw new InvalidOptionError(
        'forget',
        `${name} owns slots, and ${nameOf(replica)} has its data; start it again, or let that one take over: ${redisCli(replica, {}, 'CLUSTER FAILOVER TAKEOVER')}`,
      )
  }
  return nodes
}

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
