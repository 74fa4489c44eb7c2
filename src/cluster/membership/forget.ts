import { setTimeout as sleep } from 'node:timers/promises'
import { NodeNotEmptyError, NodeRefusedError } from '../errors.js'
import { type Address, type LinkOptions, type NodeLink, nameOf, withLink } from '../link.js'
import { redisCli } from '../redis-cli.js'
import { type NodeView, parseClusterNodes, parseFields } from '../replies.js'
import { type RosterOptions, rosterOf } from './roster.js'

/** Longest that a node is told to forget all others, in ms. */
const RESET_MS = 5_000
const RETRY_MS = 50

/** Whom it is about: the address alone may be another's by now. */
type Meant = Pick<NodeView, 'id' | 'host' | 'port'>

/**
 * Has all others forget a node that owns nothing, at once, and looks at every one whether it has: FORGET holds for a minute, in
 * which one that still knew it would tell the others again. Nobody finds the slots of a node that was forgotten, so each look asks
 * first whether any node, itself too, takes it for an owner: a replica may have been promoted since it was planned.
 * @param others addresses of nodes that stay
 * @throws NodeRefusedError when it owns slots; ClusterNotReadyError naming those that still know it
 */
export async function forgetEverywhere(
  others: readonly Address[],
  node: Meant,
  options: RosterOptions,
): Promise<void> {
  await rosterOf(others, options, async ({ witnesses }) => {
    const views = [...witnesses, { name: nameOf(node), view: await viewOf(node, options) }]
    const owning = views.find(({ view }) => view.some(({ id, slots }) => id === node.id && slots.length > 0))
    if (owning)
      throw new NodeRefusedError(nameOf(node), 'removed', [
        `${owning.name} sees it as the owner of slots; look at them, and try again: shardq cluster status`,
      ])
    const knowing = witnesses.filter(({ view }) => view.some(({ id, myself }) => id === node.id && !myself))
    await tellToForget(knowing, node, node.id, options)
    return knowing.map(({ name }) => `${name} still knows ${nameOf(node)}`)
  })
}

/** @throws NodeRefusedError when another node has the address by now */
export async function expectId(link: NodeLink, node: Meant): Promise<void> {
  const id = await link.text('CLUSTER', 'MYID')
  if (id !== node.id)
    throw new NodeRefusedError(nameOf(node), 'removed', [
      `it is another node by now, with id ${id} in place of ${node.id}; look at it: shardq cluster status`,
    ])
}

/**
 * Whatever a master has by now, nobody would find once it is forgotten, and it could not be reset: killed, a server may come back with keys
 * that had left in its last second, as its append-only file lacks that.
 * @throws NodeNotEmptyError
 */
export async function expectNoKeys(node: Meant, options: LinkOptions): Promise<void> {
  await withLink(node, options, async (link) => {
    const [role] = (await link.reply('ROLE')) as [string]
    // Where it could not be kept from following whoever got its last slot, what it has is that one's: it had nothing else (strays.ts).
    const keys = role === 'master' ? Number(await link.text('DBSIZE')) : 0
    if (keys > 0)
      throw new NodeNotEmptyError(
        nameOf(node),
        'removed',
        keys,
        await someOf(link),
        'to bring home what their owners lack: shardq cluster fix',
      )
  })
}

async function someOf(link: NodeLink): Promise<string> {
  const [, names] = (await link.reply('SCAN', 0, 'COUNT', 10)) as [string, string[]]
  return names.length === 0 ? 'and does not say which' : `such as ${names[0]}`
}

/** What it says itself. Nothing where it does not answer, or something else has its port by now: then the word of the others counts. */
async function viewOf(node: Address, options: LinkOptions): Promise<readonly NodeView[]> {
  const nodes = withLink(node, options, (link) => link.text('CLUSTER', 'NODES'))
  return nodes.then(
    (text) => parseClusterNodes(text, node.host),
    () => [],
  )
}

/** @param id by which it is known there */
async function tellToForget(
  knowing: readonly { readonly address: Address }[],
  node: Meant,
  id: string,
  options: LinkOptions,
): Promise<void> {
  await Promise.all(
    knowing.map(({ address }) =>
      withLink(address, options, (link) => link.text('CLUSTER', 'FORGET', id)).catch((error) =>
        unlessUnknown(error, node, nameOf(address)),
      ),
    ),
  )
}

/** A look is older than what was done on it. */
function unlessUnknown(error: Error, node: Meant, at: string): void {
  // Valkey 8.1: a removal was cut off before it reset the replica, which has introduced itself to the others since.
  if (/forget my master/i.test(error.message))
    throw new NodeRefusedError(nameOf(node), 'removed', [
      `${at} is its replica again; the same command goes on, and looks first who its replicas are`,
    ])
  if (!/Unknown node/i.test(error.message)) throw error
}

/**
 * Makes a node that all others have forgotten forget them too, and who it is: again, until it stays alone, for a packet that was on
 * its way makes it acquainted once more. What has its address by now may be another node, with all that it has.
 *
 * A Valkey 8.1 node that hears nothing from one it knows introduces itself again, after a cluster-node-timeout. Where it is reset no sooner, the
 * others complete that introduction with its new id; so they forget this one too, until none lists its address.
 * @param others addresses of nodes that stay
 * @throws NodeRefusedError when it is; NodeNotEmptyError, since a server refuses it where there are keys; ClusterNotReadyError naming those that
 *   have met it again; what it fails with
 */
export async function resetNode(
  node: Meant,
  others: readonly Address[],
  options: RosterOptions,
): Promise<void> {
  await withLink(node, options, async (link) => {
    await expectId(link, node)
    await resetUntilAlone(link, node, options)
    await rosterOf(others, options, async ({ witnesses }) => {
      const met = witnesses.flatMap(({ address, name, view }) =>
        view.filter((each) => isAgain(each, node)).map(({ id }) => ({ address, name, id })),
      )
      if (met.length === 0) return []
      const id = await link.text('CLUSTER', 'MYID')
      const known = met.filter((each) => each.id === id)
      await tellToForget(known, node, id, options)
      if (known.length > 0) await resetUntilAlone(link, node, options)
      return met.map(({ name }) => `${name} has met ${nameOf(node)} again`)
    })
  })
}

const isAgain = ({ id, host, port, myself }: NodeView, node: Meant) =>
  !myself && id !== node.id && host === node.host && port === node.port

async function resetUntilAlone(link: NodeLink, node: Meant, options: LinkOptions): Promise<void> {
  const deadline = performance.now() + RESET_MS
  for (;;) {
    await link
      .text('CLUSTER', 'RESET', 'HARD')
      .catch((error: Error) => unlessKeys(error, node, link, options))
    await sleep(RETRY_MS)
    const info = parseFields(await link.text('CLUSTER', 'INFO'))
    if (info.get('cluster_known_nodes') === '1') return
    if (performance.now() > deadline)
      throw new Error(`${nameOf(node)} still knows ${info.get('cluster_known_nodes')} nodes`)
  }
}

async function unlessKeys(error: Error, node: Meant, link: NodeLink, options: LinkOptions): Promise<never> {
  if (!/containing keys/i.test(error.message)) throw error
  throw new NodeNotEmptyError(
    nameOf(node),
    'removed',
    Number(await link.text('DBSIZE')),
    await someOf(link),
    'all others have forgotten it; compare them, and if their owners have what is wanted: ' +
      `${redisCli(node, options, 'FLUSHALL')} ; then again: shardq cluster remove-node ${nameOf(node)}`,
  )
}
