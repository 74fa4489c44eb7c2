import type { Colors } from 'picocolors/types.js'
import { type ClusterPicture, type NodePicture, nameOf, shardsOf } from '../cluster/index.js'
import { countIn, rangesOf, rangeText } from '../cluster/slots.js'
import { PlainTable } from '../plain-table.js'
import { bytes } from './figures.js'

/** The picture of `shardq cluster status`, for people. */
export function renderStatus(picture: ClusterPicture, colors: Colors): string[] {
  return [summary(picture, colors), ...nodeTable(picture, colors), ...remarks(picture, colors)]
}

function summary(picture: ClusterPicture, colors: Colors): string {
  const { state, slotsAssigned, slotsOk, knownNodes, size, currentEpoch, answered, differences } = picture
  const good = (text: string, isGood: boolean) => (isGood ? text : colors.red(text))
  return [
    `state ${state === 'ok' ? colors.green('ok') : colors.red('fail')}`,
    good(
      `slots assigned ${slotsAssigned}, ok ${slotsOk} of 16384`,
      slotsAssigned === 16_384 && slotsOk === 16_384,
    ),
    differences.length === 0 ? 'views agree' : colors.red('views differ'),
    `nodes ${knownNodes}, ${good(`${answered} answer`, answered === knownNodes)}`,
    `masters with slots ${size}`,
    `epoch ${currentEpoch}`,
  ].join('   ')
}

/** A narrow terminal cuts lines at their end: what tells of a fault stands before what tells of load. */
function nodeTable(picture: ClusterPicture, colors: Colors): string[] {
  const table = new PlainTable(
    ['node', 'role', 'slots', 'link', 'flags', 'lag', 'memory', 'ops/s', 'clients'],
    {
      right: [5, 6, 7, 8],
    },
  )
  for (const { master, replicas } of shardsOf(picture)) {
    table.push(
      master ? row(master, nameOf(master), colors) : [colors.red('replicas of nobody'), ...Array(8).fill('')],
    )
    for (const replica of replicas) table.push(row(replica, `└ ${nameOf(replica)}`, colors))
  }
  return table.lines()
}

function row(node: NodePicture, name: string, colors: Colors): string[] {
  const { role, slots, clients, opsPerSecond, flags } = node
  return [
    node.up ? name : colors.red(name),
    role,
    slots.length === 0 ? '' : `${countIn(slots)}: ${rangeText(slots, 3)}`,
    linkOf(node, colors),
    flags.length === 0 ? '' : colors.red(flags.join(', ')),
    lag(node),
    memory(node),
    opsPerSecond === null ? '' : String(opsPerSecond),
    clients === null ? '' : String(clients),
  ]
}

function memory({ memoryUsedBytes: used, memoryLimitBytes: limit }: NodePicture): string {
  if (used === null) return ''
  if (limit === null) return `${bytes(used)}, no limit`
  return `${bytes(used)} of ${bytes(limit)}, ${Math.round((100 * used) / limit)} %`
}

function lag({ role, lagBytes, lagSeconds }: NodePicture): string {
  if (role === 'master') return ''
  const parts = [
    ...(lagBytes === null ? [] : [bytes(lagBytes)]),
    ...(lagSeconds === null ? [] : [`${lagSeconds} s`]),
  ]
  return parts.length === 0 ? '?' : parts.join(', ')
}

/** Of a replica, that to its master; of a master, that of the others to it. */
function linkOf(node: NodePicture, colors: Colors): string {
  if (!node.up) return colors.red('no answer')
  if (node.replication === 'down') return colors.red('master link down')
  return node.linkState === 'connected' ? 'up' : colors.red(node.linkState)
}

/** What does not fit into the table, with what to do about it. */
function remarks(picture: ClusterPicture, colors: Colors): string[] {
  const { nodes, strangers, differences, openSlots } = picture
  const down = [
    ...nodes.filter(({ up }) => !up).map((node) => ({ node: nameOf(node), error: node.error ?? '' })),
    ...strangers,
  ]
  const open = rangesOf(openSlots.map(({ slot }) => slot))
  return [
    ...down.map(({ node, error }) => colors.red(`${node} does not answer: ${brief(error)}`)),
    ...differences.map((text) => colors.red(`views differ: ${text}`)),
    ...(open.length === 0
      ? []
      : [colors.yellow(`open slots: ${rangeText(open, 10)}; being moved, or left so: shardq cluster fix`)]),
  ]
}

/** The message of an unreachable node repeats its name and gives advice that is right for a lone server. */
const brief = (message: string) => /\((.+)\); is it running/s.exec(message)?.[1] ?? message
