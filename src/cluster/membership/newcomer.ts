import { WrongModeError } from '../../errors.js'
import { NodeRefusedError } from '../errors.js'
import { type Address, type LinkOptions, nameOf, withLink } from '../link.js'
import { redisCli } from '../redis-cli.js'
import { keysIn, type NodeView, parseClusterNodes, parseFields } from '../replies.js'
import { settingsOf } from '../settings-read.js'
import { type ServerVersion, tooOld, versionOf } from '../version.js'
import { findNode, type Roster, witnessFor } from './roster.js'

/** A server that is to become a node, as it was found. */
export interface Candidate {
  readonly name: string
  readonly address: Address
  readonly self: NodeView
  /** Everybody whom it knows, itself included. */
  readonly view: readonly NodeView[]
  readonly keys: number
  readonly runId: string
  readonly server: ServerVersion
  /** CONFIG GET *; undefined where we may not ask. */
  readonly config: ReadonlyMap<string, string> | undefined
}

/** @throws NodeUnreachableError, AuthenticationError; WrongModeError when cluster-enabled is no */
export async function lookAt(address: Address, options: LinkOptions): Promise<Candidate> {
  return withLink(address, options, async (link) => {
    const [info, nodes] = await Promise.all([
      link.text('INFO', 'everything').then(parseFields),
      link.text('CLUSTER', 'NODES').catch((error: Error) => {
        throw /cluster support disabled/.test(error.message)
          ? new WrongModeError(nameOf(address), 'cluster')
          : error
      }),
    ])
    const view = parseClusterNodes(nodes, address.host)
    const self = view.find(({ myself }) => myself)
    if (!self) throw new WrongModeError(nameOf(address), 'cluster')
    return {
      name: nameOf(address),
      address,
      self,
      view,
      keys: keysIn(info),
      runId: info.get('run_id') ?? '',
      server: versionOf(info),
      config: await settingsOf(link),
    }
  })
}

/**
 * Whether a server may join, or has joined already, as after an add-node that was cut off.
 * @throws NodeRefusedError with each thing that is against it, and the way out
 */
export function judge(candidate: Candidate, roster: Roster, options: LinkOptions): 'new' | 'joined' {
  const { name, self, view, keys, server } = candidate
  const others = view.filter(({ myself, flags }) => !myself && !flags.includes('handshake'))
  // It was told of one of ours, and died before that one knew it.
  const isHalfMet = self.role === 'master' && others.every(({ id }) => findNode(roster, id))
  const known = findNode(roster, self.id)
  const problems: string[] = []
  const cli = redisCli(candidate.address, options)
  const reset = `${cli} CLUSTER RESET HARD`
  if (known) {
    const witness = witnessFor(roster, self.id)
    if (witness?.info.get('run_id') === candidate.runId) return 'joined'
    problems.push(
      `it has the id of ${nameOf(known)}, as a server that was started on a copy of its nodes.conf; two nodes of one id tear a ` +
        `cluster apart. Empty it, and give it an id of its own: ${reset}`,
    )
  } else if (others.length > 0 && !isHalfMet) {
    problems.push(
      `it belongs to another cluster, and knows ${others.length} nodes there; if that is of no use any more: ${reset}`,
    )
  } else if (self.slots.length > 0) {
    problems.push(`it says that it owns slots; if they are of no use: ${reset}`)
  }
  if (keys > 0)
    problems.push(
      `it has ${keys} keys, which nobody would find any more; move them elsewhere, or if they are of no use: ${cli} FLUSHALL`,
    )
  const outdated = tooOld(server)
  if (outdated) problems.push(`it ${outdated}`)
  if (problems.length > 0) throw new NodeRefusedError(name, 'added', problems)
  return 'new'
}
