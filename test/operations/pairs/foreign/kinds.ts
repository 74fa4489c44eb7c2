import type { Cluster } from 'ioredis'
import type { Random } from '../../../chaos/storm/random.js'
import { FIELD_TIMES, WITH_TIME } from './timed.js'

export type Command = readonly [name: string, ...args: (string | number)[]]

/** A write of one key, and what it makes of what the key was. */
export interface Write<Model> {
  readonly command: Command
  readonly apply: (before: Model) => Model
}

/** One type of Redis, as an application uses it that knows what it has written. A key that is not there has the model `absent`. */
export interface Kind<Model = unknown> {
  readonly absent: Model
  write(key: string, now: Model, n: number, random: Random): Write<Model>
  /** All that the key has, in a form that can be compared. */
  read(redis: Cluster, key: string): Promise<unknown>
  /** What `read` would give of such a key. */
  shown(model: Model, redis: Cluster, key: string): unknown
  /** Default: they are equal. */
  same?(found: unknown, shown: unknown): boolean
  /** A command that the server must know. */
  readonly needs?: string
}

/** Most items of a key, so that it does not grow for ever. */
const MOST = 60

const text: Kind<string> = {
  absent: '',
  write: (key, _, n, random) =>
    random.next() < 0.5
      ? { command: ['SET', key, `v${n}`], apply: () => `v${n}` }
      : { command: ['APPEND', key, `+${n}`], apply: (before) => `${before}+${n}` },
  read: async (redis, key) => (await redis.get(key)) ?? '',
  shown: (model) => model,
}

const list: Kind<readonly string[]> = {
  absent: [],
  write: (key, now, n) =>
    now.length > MOST
      ? { command: ['LPOP', key, 20], apply: (before) => before.slice(20) }
      : { command: ['RPUSH', key, `a${n}`, `b${n}`], apply: (before) => [...before, `a${n}`, `b${n}`] },
  read: (redis, key) => redis.lrange(key, 0, -1),
  shown: (model) => model,
}

const set: Kind<readonly string[]> = {
  absent: [],
  write: (key, now, n, random) => {
    const member = now.length > 0 && (now.length > MOST || random.next() < 0.3) ? random.pick(now) : undefined
    return member === undefined
      ? { command: ['SADD', key, `m${n}`], apply: (before) => [...before, `m${n}`] }
      : { command: ['SREM', key, member], apply: (before) => before.filter((each) => each !== member) }
  },
  read: async (redis, key) => (await redis.smembers(key)).sort(),
  shown: (model) => [...model].sort(),
}

type Fields = Readonly<Record<string, string>>

const hash: Kind<Fields> = {
  absent: {},
  write: (key, _, n, random) => {
    const field = `f${random.between(0, MOST)}`
    const roll = random.next()
    if (roll < 0.2)
      return { command: ['HDEL', key, field], apply: ({ [field]: _, ...others }) => others as Fields }
    // One that counts, and so tells of a write that was done twice.
    if (roll < 0.5)
      return {
        command: ['HINCRBY', key, 'count', 1],
        apply: (before) => ({ ...before, count: String(Number(before.count ?? 0) + 1) }),
      }
    return { command: ['HSET', key, field, n], apply: (before) => ({ ...before, [field]: String(n) }) }
  },
  read: async (redis, key) => inOrder(await redis.hgetall(key)),
  shown: inOrder,
}

const zset: Kind<Fields> = {
  absent: {},
  write: (key, _, n, random) => {
    const member = `z${random.between(0, MOST)}`
    const roll = random.next()
    if (roll < 0.2)
      return { command: ['ZREM', key, member], apply: ({ [member]: _, ...others }) => others as Fields }
    if (roll < 0.5)
      return {
        command: ['ZINCRBY', key, 3, member],
        apply: (before) => ({ ...before, [member]: String(Number(before[member] ?? 0) + 3) }),
      }
    return { command: ['ZADD', key, n, member], apply: (before) => ({ ...before, [member]: String(n) }) }
  },
  read: async (redis, key) => {
    const flat = await redis.zrange(key, '0', '-1', 'WITHSCORES')
    return inOrder(
      Object.fromEntries(flat.flatMap((member, i) => (i % 2 === 0 ? [[member, flat[i + 1] ?? '']] : []))),
    )
  },
  shown: inOrder,
}

/** The fields of each entry are its number; of the group: the last that was delivered, and who waits for an XACK. */
interface Stream {
  readonly entries: readonly string[]
  readonly group: { readonly last: string; readonly pending: readonly string[] } | null
}

const stream: Kind<Stream> = {
  absent: { entries: [], group: null },
  write: (key, now, n, random) => {
    if (now.group === null)
      return {
        command: ['XGROUP', 'CREATE', key, 'group', '0', 'MKSTREAM'],
        apply: ({ entries }) => ({ entries, group: { last: '0-0', pending: [] } }),
      }
    const [pending] = now.group.pending
    const roll = random.next()
    if (pending !== undefined && roll < 0.3)
      return {
        command: ['XACK', key, 'group', pending],
        apply: ({ entries, group }) => ({
          entries,
          group: group && { ...group, pending: group.pending.filter((id) => id !== pending) },
        }),
      }
    if (roll < 0.5)
      return {
        command: ['XREADGROUP', 'GROUP', 'group', 'me', 'COUNT', 2, 'STREAMS', key, '>'],
        apply: ({ entries, group }) => {
          const after = Number(group?.last.split('-')[0])
          const taken = entries.filter((id) => Number(id.split('-')[0]) > after).slice(0, 2)
          return {
            entries,
            group: group && {
              last: taken.at(-1) ?? group.last,
              pending: [...group.pending, ...taken],
            },
          }
        },
      }
    return {
      command: ['XADD', key, 'MAXLEN', MOST, `${n}-0`, 'n', n],
      apply: ({ entries, group }) => ({ entries: [...entries, `${n}-0`].slice(-MOST), group }),
    }
  },
  async read(redis, key) {
    const entries = (await redis.xrange(key, '-', '+')).map(([id]) => id)
    const groups = (await redis.call('XINFO', 'GROUPS', key).catch(unlessNoKey)) as unknown[][]
    const [group] = groups
    if (group === undefined) return { entries, group: null }
    const pending = (await redis.call('XPENDING', key, 'group', '-', '+', 10_000)) as string[][]
    return {
      entries,
      group: { last: group[group.indexOf('last-delivered-id') + 1], pending: pending.map(([id]) => id) },
    }
  },
  shown: (model) => model,
}

function unlessNoKey(error: Error): unknown[] {
  if (/no such key/i.test(error.message)) return []
  throw error
}

/** Compared with one that is made beside it of what was added: the same elements give the same count. */
const loglog: Kind<readonly string[]> = {
  absent: [],
  write: (key, now, n) =>
    now.length > 4 * MOST
      ? { command: ['UNLINK', key], apply: () => [] }
      : { command: ['PFADD', key, `e${n}`], apply: (before) => [...before, `e${n}`] },
  read: (redis, key) => redis.pfcount(key),
  async shown(model, redis, key) {
    const beside = `${key}:beside`
    await redis.unlink(beside)
    if (model.length > 0) await redis.pfadd(beside, ...model)
    const count = await redis.pfcount(beside)
    await redis.unlink(beside)
    return count
  },
}

/** Hex, as the server keeps it: as long as the last bit that was ever set. */
const bitmap: Kind<string> = {
  absent: '',
  write: (key, _, __, random) => {
    const bit = random.between(0, 999)
    const value = random.between(0, 1)
    return {
      command: ['SETBIT', key, bit, value],
      apply: (before) => {
        const had = Buffer.from(before, 'hex')
        const bytes = Buffer.alloc(Math.max(had.length, (bit >> 3) + 1))
        had.copy(bytes)
        const mask = 0x80 >> (bit & 7)
        bytes[bit >> 3] = value === 1 ? (bytes[bit >> 3] ?? 0) | mask : (bytes[bit >> 3] ?? 0) & ~mask
        return bytes.toString('hex')
      },
    }
  },
  read: async (redis, key) => ((await redis.getBuffer(key)) ?? Buffer.alloc(0)).toString('hex'),
  shown: (model) => model,
}

const geo: Kind<Fields> = {
  absent: {},
  write: (key, _, __, random) => {
    const member = `p${random.between(0, MOST)}`
    const [lon, lat] = [random.between(-170, 170), random.between(-80, 80)]
    return {
      command: ['GEOADD', key, lon, lat, member],
      apply: (before) => ({ ...before, [member]: `${lon} ${lat}` }),
    }
  },
  async read(redis, key) {
    const members = await redis.zrange(key, '0', '-1')
    if (members.length === 0) return []
    const places = await redis.geopos(key, ...members)
    const whole = (degrees: string | undefined) => Math.round(Number(degrees))
    return inOrder(Object.fromEntries(members.map((name, i) => [name, `${places[i]?.map(whole).join(' ')}`])))
  },
  shown: inOrder,
}

function inOrder(fields: Fields): readonly (readonly [string, string])[] {
  return Object.entries(fields).sort(([a], [b]) => (a < b ? -1 : 1))
}

/** Each has models of its own, which nobody else looks into. */
const asAny = <Model>(kind: Kind<Model>) => kind as unknown as Kind

export const KINDS: Readonly<Record<string, Kind>> = {
  text: asAny(text),
  'text with a time': asAny(WITH_TIME),
  list: asAny(list),
  set: asAny(set),
  hash: asAny(hash),
  'hash with times': asAny(FIELD_TIMES),
  zset: asAny(zset),
  stream: asAny(stream),
  loglog: asAny(loglog),
  bitmap: asAny(bitmap),
  geo: asAny(geo),
}
