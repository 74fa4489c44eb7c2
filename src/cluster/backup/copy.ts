import { setTimeout as sleep } from 'node:timers/promises'
import { NotPermittedError } from '../../errors.js'
import { RestoreIncompleteError } from '../errors.js'
import { fieldTimes } from '../field-times.js'
import type { NodeLink } from '../link.js'
import { type DivisibleType, isDivisible, lengthOf, type Piece, piecesOf } from '../pieces.js'
import { isSameStream } from '../stream-content.js'
import { isSameVectorSet } from '../vector-content.js'
import { MOST_APART_MS } from './clocks.js'
import { Construction } from './construction.js'
import { hasFieldTimes } from './count.js'
import type { Marker } from './marker.js'
import { fullText, isOutOfMemory } from './memory.js'
import { FOOTER_BYTES, type SourceKey, SUM } from './pages.js'
import type { Target, TargetNode } from './target.js'

/** For no more than that does a server stand still. */
const PIECE = { bytes: 1024 * 1024, elements: 2_000 }

/** How a key of the backup stands in the cluster that is filled. `moved`: the same, but its time has shifted as by a move to another node. */
export type KeyState = 'same' | 'moved' | 'missing' | 'expired' | 'different'

/** A key as it was seen. */
export interface Seen {
  readonly state: KeyState
  /** When it ends where it is, before its value was looked at; -1: never, -2: it is not there. */
  readonly endsAtMs: number
}

/**
 * MIGRATE sends what is left of a time to live, so its end shifts by the time that the key is on its way, and by as much as two clocks are
 * apart. Slots may be moved between a restore that was broken off and the call that goes on: to make room, for instance.
 */
export const MOVED_MS = MOST_APART_MS + 5_000

/**
 * One script for all keys of a page on one node: asked key by key, answers would take most of the time. ARGV: how many small
 * keys, these, then big ones, of which no sum is made. Returns of each its time and its sum, or nil.
 */
const LOOK = `#!lua flags=no-writes,allow-cross-slot-keys
${SUM}
local small, out = tonumber(ARGV[1]), {}
for i = 2, #ARGV do
  local dump = i <= small + 1 and redis.call('DUMP', ARGV[i])
  out[#out + 1] = string.format('%.0f', redis.call('PEXPIRETIME', ARGV[i]))
  out[#out + 1] = dump and sum(ARGV[i], dump)
end
return out`

/**
 * ARGV: name, time, DUMP, name, ... Returns which key is not taken, and why, then those that are there already. Ends at the first
 * that is not taken.
 */
const RESTORE = `#!lua flags=allow-cross-slot-keys
local out = { '', '' }
for i = 1, #ARGV, 3 do
  local reply = redis.pcall('RESTORE', ARGV[i], ARGV[i + 1], ARGV[i + 2], 'ABSTTL')
  if reply.err and string.find(reply.err, 'BUSYKEY', 1, true) then
    out[#out + 1] = ARGV[i]
  elseif reply.err then
    out[1], out[2] = ARGV[i], reply.err
    break
  end
end
return out`

/**
 * KEYS: a key that was moved; ARGV: when it ends as it was seen, and when it is to end. A look at a page takes seconds, and what a client has
 * written since is not to end at all. Returns 0 where the key has another end by now; 1, too, where there is none any more.
 */
const SET_TIME = `#!lua flags=allow-oom
local endsAt = redis.call('PEXPIRETIME', KEYS[1])
if endsAt == tonumber(ARGV[1]) then redis.call('PEXPIREAT', KEYS[1], ARGV[2])
elseif endsAt ~= -2 then return 0 end
return 1`

/** Whether a key was to be copied, and is a fault where it is missing. */
export interface Expected {
  readonly mustBeThere: boolean
}

/** Compares a page of keys with what the cluster has, each with its time to live. Ends, on each node, at the first that is a fault. */
export async function comparePage(
  source: NodeLink,
  target: Target,
  page: readonly SourceKey[],
  expected: Expected,
): Promise<ReadonlyMap<SourceKey, Seen>> {
  const states = new Map<SourceKey, Seen>()
  const byNode = groupByNode(target, page)
  await Promise.all(
    [...byNode].map(async ([node, keys]) => {
      const [small, big] = [keys.filter(({ dump }) => dump), keys.filter(({ dump }) => !dump)]
      const asked = [...small, ...big]
      const reply = (await node.link.bytes(
        'EVAL',
        LOOK,
        0,
        small.length,
        ...asked.map(({ name }) => name),
      )) as (Buffer | null)[]
      for (const [i, key] of asked.entries()) {
        const ask = { source, node, key, ...expected }
        const seen = await stateOf(ask, Number(reply[2 * i]), reply[2 * i + 1])
        states.set(key, seen)
        // Each of them may have been looked at for more than a second.
        if (seen.state === 'different' || (seen.state === 'missing' && expected.mustBeThere)) break
      }
    }),
  )
  return states
}

interface Ask extends Expected {
  readonly source: NodeLink
  readonly node: TargetNode
  readonly key: SourceKey
}

async function stateOf(ask: Ask, endsAtMs: number, sum: Buffer | null | undefined): Promise<Seen> {
  const { key, node } = ask
  if (endsAtMs === -2 && (await isOver(key, node))) return { state: 'expired', endsAtMs }
  if (endsAtMs === key.expiresAtMs && key.sum !== null && sum?.toString('latin1') === key.sum)
    return { state: 'same', endsAtMs }
  return stateNow(ask)
}

/**
 * Looks at both at once. Fields of a hash that have times of their own (Redis 7.4) run out on one server a moment before the other, and the
 * last one takes the hash with it: so what differs is looked at again. Not what is missing and will be copied.
 */
async function stateNow({ source, node, key, mustBeThere }: Ask): Promise<Seen> {
  for (let [tries, isLast] = [1, false]; ; tries++) {
    const [here = -2, there = -2] = (
      await Promise.all([source.bytes('PEXPIRETIME', key.name), node.link.bytes('PEXPIRETIME', key.name)])
    ).map(Number)
    const seen = (state: KeyState): Seen => ({ state, endsAtMs: there })
    // Nobody writes to the server that reads the backup: what has gone there has run out.
    if (here === -2 && there === -2) return seen('expired')
    const isThere = there !== -2
    const shift = there === key.expiresAtMs ? 0 : shiftOf(key.expiresAtMs, there)
    if (isThere && shift <= MOVED_MS && (await isSameInPieces(source, node.link, key.name)))
      return seen(shift === 0 ? 'same' : 'moved')
    if (!isThere && !mustBeThere) return seen('missing')
    // What has run out here lives on there for as long as a move has shifted its end.
    const most = looksFor(here === -2 && shift <= MOVED_MS ? MOVED_MS : MOST_APART_MS)
    if (isLast || tries >= most) return seen(isThere ? 'different' : 'missing')
    // The last field that would have passed may have done so since.
    isLast = !(await mayPass(source, node.link, key.name))
    if (!isLast) await sleep(LOOK_AGAIN_MS)
  }
}

/** In ms; one that has no end has not shifted. */
const shiftOf = (hereMs: number, thereMs: number) =>
  hereMs > 0 && thereMs > 0 ? Math.abs(hereMs - thereMs) : Number.POSITIVE_INFINITY

/**
 * Gives a key that was moved the exact time of the backup again.
 * @returns false: somebody has written it since it was seen, and it stays as it is
 */
export async function setTime(
  target: Target,
  { name, expiresAtMs }: SourceKey,
  { endsAtMs }: Seen,
): Promise<boolean> {
  const { link } = target.nodeOf(name)
  return Number(await link.bytes('EVAL', SET_TIME, 1, name, endsAtMs, expiresAtMs)) === 1
}

/**
 * Whether all of it has run out, or fields of it may. HLEN counts fields that have, until the server comes to removing them, and nothing else
 * shows these; so it is not the hash that is asked about, but both servers.
 */
async function mayPass(source: NodeLink, target: NodeLink, name: Buffer): Promise<boolean> {
  const type = String(await source.bytes('TYPE', name))
  if (type !== 'hash') return type === 'none'
  return (await hasFieldTimes(source)) || (await hasFieldTimes(target))
}

const LOOK_AGAIN_MS = 30
/** What runs out is looked at for somewhat longer than that may take on the other server. */
const looksFor = (ms: number) => Math.ceil((1.3 * ms) / LOOK_AGAIN_MS)

const isOver = async (key: SourceKey, node: TargetNode) =>
  key.expiresAtMs >= 0 && key.expiresAtMs <= (await node.nowMs())

function groupByNode(target: Target, keys: readonly SourceKey[]): Map<TargetNode, SourceKey[]> {
  const byNode = new Map<TargetNode, SourceKey[]>()
  for (const key of keys) {
    const node = target.nodeOf(key.name)
    const group = byNode.get(node)
    if (group) group.push(key)
    else byNode.set(node, [key])
  }
  return byNode
}

/** Tables have their elements in another order on every server, so an unequal DUMP need not mean an unequal value. */
async function isSameInPieces(source: NodeLink, target: NodeLink, key: Buffer): Promise<boolean> {
  const [type, typeThere] = (await Promise.all([source.bytes('TYPE', key), target.bytes('TYPE', key)])).map(
    String,
  )
  if (type === undefined || type !== typeThere) return false
  if (type === 'stream') return isSameStream(plain(source), plain(target), key)
  if (type === 'vectorset') return isSameVectorSet(plain(source), plain(target), key)
  if (!isDivisible(type)) {
    const [dump, dumpThere] = await Promise.all([source.bytes('DUMP', key), target.bytes('DUMP', key)])
    return (
      Buffer.isBuffer(dump) &&
      Buffer.isBuffer(dumpThere) &&
      withoutFooter(dump).equals(withoutFooter(dumpThere))
    )
  }
  const [length, lengthThere] = await Promise.all([
    lengthOf(plain(source), type, key),
    lengthOf(plain(target), type, key),
  ])
  if (length !== lengthThere) return false
  for await (const piece of inPieces(source, type, key)) {
    const [command, ...args] = piece.ask
    if (!piece.isSame(await target.bytes(command, ...args))) return false
    if (type === 'hash' && !(await areTimesSame(source, target, key, args.slice(1)))) return false
  }
  return true
}

async function areTimesSame(
  source: NodeLink,
  target: NodeLink,
  key: Buffer,
  fields: readonly (string | number | Buffer)[],
): Promise<boolean> {
  const here = (await fieldTimes(plain(source), key, fields)) ?? []
  const hasTimes = here.some((atMs) => atMs > 0)
  const there = await fieldTimes(plain(target), key, fields).catch((error: Error) => {
    // Roles have no right to a command that most servers do not know; without such times none is needed.
    if (hasTimes || !(error instanceof NotPermittedError)) throw error
    return null
  })
  return fields.every((_, i) => (here[i] ?? -1) === (there?.[i] ?? -1))
}

/** Our servers answer for every key of theirs, as no slot of them is on its way. */
const plain = (link: NodeLink) => ({ link, asking: false })

async function* inPieces(source: NodeLink, type: DivisibleType, name: Buffer): AsyncGenerator<Piece> {
  const [length, bytes] = await Promise.all([
    lengthOf(plain(source), type, name),
    source.bytes('MEMORY', 'USAGE', name).then(Number),
  ])
  yield* piecesOf(plain(source), { name, type, length, bytes }, PIECE)
}

const withoutFooter = (dump: Buffer) => dump.subarray(0, -FOOTER_BYTES)

/**
 * Copies keys that are not there. Never over one that is: such a key is not from us, unless it is the same, since SCAN may list
 * a key twice.
 */
export async function copyKeys(
  source: NodeLink,
  target: Target,
  marker: Marker,
  keys: readonly SourceKey[],
): Promise<void> {
  const busy = await Promise.all([...groupByNode(target, keys)].map(([node, group]) => restore(node, group)))
  const big = keys.filter(({ dump }) => !dump)
  const mustBeThere = false
  const states = await comparePage(source, target, [...busy.flat(), ...big], { mustBeThere })
  for (const [key, { state }] of states) {
    const node = target.nodeOf(key.name)
    if (state === 'different' || state === 'moved') throw appeared(key, node)
    if (state === 'missing' && !(await copyBig(source, node, marker, key)))
      if ((await stateNow({ source, node, key, mustBeThere })).state === 'different')
        throw appeared(key, node)
  }
}

const appeared = ({ name }: SourceKey, node: TargetNode) =>
  new RestoreIncompleteError(`${name} has appeared on ${node.name}; something else writes to this cluster`)

/** @returns those that are there already */
async function restore(node: TargetNode, keys: readonly SourceKey[]): Promise<SourceKey[]> {
  let bytes = 0
  const args = keys.flatMap(({ name, dump, expiresAtMs }) => {
    if (!dump) return []
    bytes += name.length + dump.length
    // The exact time, not what is left of it: that would move it by the time that the copying takes.
    return [name, Math.max(expiresAtMs, 0), dump]
  })
  if (args.length === 0) return []
  const reply = (await node.link.bytes('EVAL', RESTORE, 0, ...args)) as Buffer[]
  const [refused, why, ...busy] = reply
  if (why && why.length > 0)
    throw new RestoreIncompleteError(
      isOutOfMemory(new Error(String(why)))
        ? fullText(node.name)
        : `${node.name} does not take ${refused}: ${why}`,
    )
  await node.written(bytes)
  return busy.length === 0 ? [] : keys.filter(({ name }) => busy.some((each) => each.equals(name)))
}

/**
 * In pieces: a server stands still while it takes a key, and counts as dead if that takes longer than cluster-node-timeout. They
 * are put together under a name of our own (`Construction`), which the key gives up for its own when it is whole.
 * @returns false: somebody has written a key of that name meanwhile, and it stays
 */
async function copyBig(source: NodeLink, node: TargetNode, marker: Marker, key: SourceKey): Promise<boolean> {
  const type = String(await source.bytes('TYPE', key.name))
  if (type === 'none') return true // It has expired since the page was read.
  if (!isDivisible(type)) {
    const dump = (await source.bytes('DUMP', key.name)) as Buffer | null
    return dump === null || (await restore(node, [{ ...key, dump }])).length === 0
  }
  const construction = new Construction(node.link, key)
  await marker.beginKey(construction.name)
  for await (const piece of inPieces(source, type, key.name)) {
    const [command, , ...args] = piece.write
    await construction.add(command, args)
    await node.written(args.reduce((sum: number, arg) => sum + (Buffer.isBuffer(arg) ? arg.length : 8), 0))
    if (type === 'hash') await copyFieldTimes(source, construction, key.name, piece.ask.slice(2))
  }
  const isOurs = await construction.finish()
  await marker.endKey()
  return isOurs
}

/** One call for all fields that run out at the same time. One that has done so since it was read would never do so on the other server. */
async function copyFieldTimes(
  source: NodeLink,
  construction: Construction,
  key: Buffer,
  fields: readonly (string | number | Buffer)[],
): Promise<void> {
  const times = (await fieldTimes(plain(source), key, fields)) ?? []
  const byTime = new Map<number, (string | number | Buffer)[]>()
  times.forEach((atMs, i) => {
    const field = fields[i]
    if (atMs === -1 || field === undefined) return
    const same = byTime.get(atMs)
    if (same) same.push(field)
    else byTime.set(atMs, [field])
  })
  await Promise.all(
    [...byTime].map(([atMs, same]) =>
      atMs === -2
        ? construction.add('HDEL', same)
        : construction.add('HPEXPIREAT', [atMs, 'FIELDS', same.length, ...same]),
    ),
  )
}
