import { setTimeout as sleep } from 'node:timers/promises'
import { ClusterNotReadyError, NodeRefusedError } from '../errors.js'
import { type Address, type LinkOptions, nameOf, withLink } from '../link.js'
import { unlessUnreachable } from '../move/opinions.js'
import { type NodeView, parseFields } from '../replies.js'
import { findNode, type Roster, replicasOf } from './roster.js'

/** Longest that one is waited for which is linked and has not all yet, in ms. */
const BEHIND_MS = 5_000
const POLL_MS = 50

type Fields = ReadonlyMap<string, string>

/**
 * Before replicas are removed: each master that stays and loses one keeps another that has all that the master had when it was asked. That it is listed,
 * and answers, says nothing: one that cannot log in to its master does both, and has what was there when it lost its link. Costs INFO of the
 * nodes concerned.
 * @param losing ids of masters that lose a replica
 * @returns a sentence for each that would be left with replicas, and with none that has all
 */
export async function withoutCopy(
  roster: Pick<Roster, 'nodes'>,
  losing: readonly string[],
  gone: ReadonlySet<string>,
  options: LinkOptions,
): Promise<string[]> {
  const problems: string[] = []
  for (const id of new Set(losing.map((each) => headOf(roster, each)))) {
    const master = id === undefined ? undefined : findNode(roster, id)
    if (!master || gone.has(master.id) || master.slots.length === 0) continue
    const replicas = replicasOf(roster, master.id).filter((replica) => !gone.has(replica.id))
    if (replicas.length === 0) continue
    const why = await whyNoneHasAll(master, replicas, options)
    if (why.length > 0)
      problems.push(
        `${nameOf(master)} would have no replica with all of its data: ${why.join('; ')}; mend that first: shardq cluster check - or ` +
          'if it may be without: --leave-unprotected',
      )
  }
  return problems
}

/** Its master may have failed over since. */
function headOf(roster: Pick<Roster, 'nodes'>, id: string): string | undefined {
  const node = findNode(roster, id)
  return node?.role === 'replica' ? (node.masterId ?? undefined) : node?.id
}

/** @returns for each what it lacks; empty: one has all. By their own word, since a master behind NAT knows them by other addresses. */
export async function whyNoneHasAll(
  master: Address,
  replicas: readonly NodeView[],
  options: LinkOptions,
): Promise<string[]> {
  const asked = await infoOf(master, options)
  if (!asked) return [`${nameOf(master)} does not answer`]
  const deadline = performance.now() + BEHIND_MS
  for (;;) {
    const found = await Promise.all(
      replicas.map(async (replica) => ({ replica, info: await infoOf(replica, options) })),
    )
    if (found.some(({ info }) => info && isLinked(info, asked) && !isBehind(info, asked))) return []
    const isWorthWaiting = found.some(({ info }) => info && isLinked(info, asked))
    if (!isWorthWaiting || performance.now() > deadline)
      return found.map(({ replica, info }) => `${nameOf(replica)} ${lackOf(info, asked)}`)
    await sleep(POLL_MS)
  }
}

/** With the history of that master, which no other has. */
const isLinked = (info: Fields, asked: Fields) =>
  info.get('role') === 'slave' &&
  info.get('master_link_status') === 'up' &&
  info.get('master_replid') === asked.get('master_replid')

const isBehind = (info: Fields, asked: Fields) =>
  Number(info.get('slave_repl_offset') ?? -1) < Number(asked.get('master_repl_offset'))

function lackOf(info: Fields | undefined, asked: Fields): string {
  if (!info) return 'does not answer'
  if (!isLinked(info, asked)) return 'has no link to its master'
  return `is behind it still after ${BEHIND_MS / 1000} s`
}

const infoOf = (node: Address, options: LinkOptions): Promise<Fields | undefined> =>
  withLink(node, options, (link) => link.text('INFO', 'replication')).then(parseFields, unlessUnreachable)

/**
 * At the last moment, of one that is to go, or that all others have forgotten already so that only its data are left.
 * @throws NodeRefusedError, ClusterNotReadyError
 */
export async function expectCopyElsewhere(
  roster: Roster,
  node: Address & Pick<NodeView, 'id' | 'masterId'>,
  gone: ReadonlySet<string>,
  options: LinkOptions & { readonly leaveUnprotected?: boolean },
): Promise<void> {
  if (options.leaveUnprotected) return
  const listed = findNode(roster, node.id)
  const { masterId } = listed ?? node
  const problems = await withoutCopy(roster, masterId ? [masterId] : [], gone, options)
  if (problems.length === 0) return
  if (listed) throw new NodeRefusedError(nameOf(node), 'removed', problems)
  const what = `all others have forgotten ${nameOf(node)}, which has its data still, and`
  const again = `then again: shardq cluster remove-node ${nameOf(node)}`
  throw new ClusterNotReadyError(
    0,
    problems.map((problem) => `${what} ${problem}; ${again}`),
  )
}
