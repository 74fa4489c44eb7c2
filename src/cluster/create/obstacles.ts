import { AuthenticationError } from '../../errors.js'
import { nameOf } from '../link.js'
import { redisCli } from '../redis-cli.js'
import { keysIn } from '../replies.js'
import { tooOld, versionOf } from '../version.js'
import { type Answering, answers, type Candidate, isLoopback, selfIn } from './candidates.js'

/** What keeps these servers from becoming a cluster, each with the way out; what will be a nuisance later; whom to empty first. */
export interface Judgement {
  readonly problems: readonly string[]
  readonly warnings: readonly string[]
  /** Nodes that know only one another and hold no keys: what a `create` that was killed leaves. */
  readonly leftovers: readonly Candidate[]
}

export function judge(
  candidates: readonly Candidate[],
  { reset, username }: { readonly reset: boolean; readonly username?: string | undefined },
): Judgement {
  const live = candidates.filter(answers)
  const leftovers = leftoversOf(live)
  const problems = [
    ...duplicates(candidates),
    ...candidates.flatMap(unreachable),
    ...live.flatMap((each) => (each.seen.view.length === 0 ? [notClustered(each)] : [])),
    ...live.flatMap(outdated),
    ...live.flatMap(notEmpty),
    ...(lostSight(live) ?? live.flatMap((each) => taken(each, leftovers, reset))),
    ...copies(live),
    ...live.flatMap(noSettings),
    ...passwords(live, username !== undefined),
    // What the default user may do, is then said by ACL rules, which nobody need show us.
    ...(username === undefined ? live.flatMap(shut) : []),
    ...live.flatMap(busShut),
    ...loopbackAmongOthers(candidates),
  ]
  return { problems, warnings: [...versions(live), ...policies(live)], leftovers: reset ? leftovers : [] }
}

const setting = ({ seen }: Answering, name: string) => seen.config?.get(name) ?? ''
const cli = ({ address, ...access }: Candidate, command?: string) => redisCli(address, access, command)

function duplicates(candidates: readonly Candidate[]): string[] {
  const keysOf = (each: Candidate) => [
    `${each.ip ?? each.address.host} ${each.address.port}`,
    ...(each.seen.up ? [`run ${each.seen.info.get('run_id')}`] : []),
  ]
  return candidates.flatMap((each, index) => {
    const same = candidates
      .slice(0, index)
      .find((before) => keysOf(before).some((key) => keysOf(each).includes(key)))
    if (!same) return []
    return [
      same.name === each.name
        ? `${each.name} is named twice`
        : `${each.name} is the same server as ${same.name}; name it once`,
    ]
  })
}

function unreachable({ name, ip, seen }: Candidate): string[] {
  if (seen.up) return []
  if (ip === null) return [`${name}: the name is known to nobody here; name an address, or mend the name`]
  const { error } = seen
  return [error instanceof AuthenticationError ? error.message : `${name}: ${error.message}`]
}

const notClustered = ({ name }: Answering) =>
  `${name} has cluster-enabled no; set \`cluster-enabled yes\` in its redis.conf and restart it (it cannot be changed while it runs)`

function outdated({ name, seen }: Answering): string[] {
  const problem = tooOld(versionOf(seen.info))
  return problem === null ? [] : [`${name} ${problem}`]
}

function notEmpty(candidate: Answering): string[] {
  const keys = keysIn(candidate.seen.info)
  // What a cluster has is not to be removed because somebody typed the wrong command; it is said of it that it is in one.
  return keys === 0 || othersIn(candidate).length > 0
    ? []
    : [
        `${candidate.name} holds ${keys} ${keys === 1 ? 'key' : 'keys'}; a node has to begin empty: take another server, or if nobody needs them: ${cli(candidate)} FLUSHALL`,
      ]
}

const othersIn = ({ seen }: Answering) =>
  seen.view.filter(({ myself, flags }) => !myself && !flags.includes('handshake'))

/** It has not been told the other's id yet, but knows it all the same, and cannot begin a cluster of its own. */
const isBeingIntroduced = ({ seen }: Answering) => seen.view.some(({ flags }) => flags.includes('handshake'))

const hasCluster = (each: Answering) =>
  othersIn(each).length > 0 ||
  isBeingIntroduced(each) ||
  (selfIn(each.seen)?.slots.length ?? 0) > 0 ||
  Number(each.seen.clusterInfo.get('cluster_my_epoch') ?? 0) > 0

function leftoversOf(live: readonly Answering[]): Answering[] {
  const own = new Set(live.map(({ seen }) => selfIn(seen)?.id))
  return live.filter(
    (each) =>
      hasCluster(each) && keysIn(each.seen.info) === 0 && othersIn(each).every(({ id }) => own.has(id)),
  )
}

/** They are one cluster already, and have only lost sight of each other: all came back under other addresses. Else undefined. */
function lostSight(live: readonly Answering[]): string[] | undefined {
  const names = new Set(live.map(({ name }) => name))
  const ids = new Set(live.map(({ seen }) => selfIn(seen)?.id))
  const known = live.flatMap(othersIn)
  const isOne =
    live.length > 1 &&
    live.every((each) => keysIn(each.seen.info) > 0 || othersIn(each).length > 0) &&
    known.every(({ id }) => ids.has(id)) &&
    known.some(
      ({ linkState, host, port }) => linkState === 'disconnected' && !names.has(nameOf({ host, port })),
    )
  if (!isOne) return undefined
  return [
    'these nodes are one cluster already, and look for each other at addresses where nobody is; bring them together with: ' +
      `SHARDQ_REDIS_NODES=${[...names].join(',')} shardq cluster fix`,
  ]
}

function taken(candidate: Answering, leftovers: readonly Answering[], reset: boolean): string[] {
  const others = othersIn(candidate)
  if (!hasCluster(candidate)) return []
  const isLeftover = leftovers.includes(candidate)
  if (isLeftover && reset) return []
  const state =
    others.length > 0
      ? `is in a cluster already, with ${others.slice(0, 2).map(nameOf).join(', ')}${others.length > 2 ? ` and ${others.length - 2} more` : ''}`
      : isBeingIntroduced(candidate)
        ? 'is being introduced to another node'
        : 'has been in a cluster, and still has slots or an epoch of it'
  const wayOut = isLeftover
    ? 'it holds no keys, and knows nobody but these nodes: to begin anew, --reset'
    : `see it with: shardq cluster status --node ${candidate.name}`
  return [`${candidate.name} ${state}; ${wayOut}`]
}

/** Two servers with one node id, where one was started on a copy of the other's nodes.conf: the cluster would take them for one. */
function copies(live: readonly Answering[]): string[] {
  return live.flatMap((each, index) => {
    const id = selfIn(each.seen)?.id
    const run = each.seen.info.get('run_id')
    const same = live
      .slice(0, index)
      .find(({ seen }) => id !== undefined && selfIn(seen)?.id === id && seen.info.get('run_id') !== run)
    return same
      ? [
          `${each.name} has the node id of ${same.name}: one was started on a copy of the other's nodes.conf; give it a new one: ${cli(each, 'CLUSTER RESET HARD')}`,
        ]
      : []
  })
}

const noSettings = ({ name, seen }: Answering) =>
  seen.config === undefined
    ? [
        `${name} does not let us use CONFIG, without which it cannot be checked or set up; name a user who may`,
      ]
    : []

/** Without masterauth a replica never gets its master's data, and the cluster says ok all the same. */
function passwords(live: readonly Answering[], byUser: boolean): string[] {
  const wanted = new Set(
    live.map((each) => setting(each, 'requirepass')).filter((password) => password !== ''),
  )
  if (wanted.size === 0 && !byUser) return []
  return live.flatMap((each) => {
    const has = setting(each, 'masterauth')
    const typed = `printf %s "$REDISCLI_AUTH" | ${cli(each, '-x CONFIG SET masterauth')} && ${cli(each, 'CONFIG REWRITE')}`
    if (has === '')
      return [`${each.name} has no masterauth, and its masters would want a password; set it: ${typed}`]
    // As another user it has another password, which only its use can show.
    if (setting(each, 'masteruser') !== '' || wanted.size === 0 || wanted.has(has)) return []
    return [`${each.name} has a masterauth that is not the password of its masters; set it: ${typed}`]
  })
}

/** With protected mode on and a default user without a password, a server speaks to nobody but its own machine. */
function shut(candidate: Answering): string[] {
  const { ip } = candidate
  const speaks = setting(candidate, 'protected-mode') !== 'yes' || setting(candidate, 'requirepass') !== ''
  return speaks || ip === null || isLoopback(ip) ? [] : [protectedMode(candidate.name)]
}

const protectedMode = (name: string) =>
  `${name} is in protected mode without a password, so it speaks to its own machine alone; set requirepass and masterauth on every node, or where the network keeps others out: CONFIG SET protected-mode no`

function busShut({ name, busPort, busOpen, ip }: Answering): string[] {
  return busOpen === false
    ? [
        `${name}: its cluster bus, ${ip}:${busPort}, takes no connection; nodes speak to each other there, so open the port between them: shardq cluster firewall --help`,
      ]
    : []
}

/** 127.0.0.1 is another machine for each that is told of it. */
function loopbackAmongOthers(candidates: readonly Candidate[]): string[] {
  const known = candidates.filter(({ ip }) => ip !== null)
  const local = known.filter(({ ip }) => isLoopback(ip ?? ''))
  if (local.length === 0 || local.length === known.length) return []
  return local.map(
    ({ name }) =>
      `${name} is an address of the loopback, where no other machine can reach it; name the one that they can`,
  )
}

function versions(live: readonly Answering[]): string[] {
  const all = new Map<string, string[]>()
  for (const { name, seen } of live) {
    const { flavour, version } = versionOf(seen.info)
    const key = `${flavour} ${version}`
    all.set(key, [...(all.get(key) ?? []), name])
  }
  const told = [...all].map(([version, names]) => `${version} on ${names.join(', ')}`)
  return all.size > 1
    ? [`versions differ, which is meant for the time of an upgrade only: ${told.join('; ')}`]
    : []
}

function policies(live: readonly Answering[]): string[] {
  const evicting = live.filter((each) => !['', 'noeviction'].includes(setting(each, 'maxmemory-policy')))
  if (evicting.length === 0) return []
  const told = evicting.map((each) => `${each.name} (${setting(each, 'maxmemory-policy')})`).join(', ')
  return [
    `a full node would throw tasks of a queue away: maxmemory-policy of ${told}; for a queue: CONFIG SET maxmemory-policy noeviction`,
  ]
}
