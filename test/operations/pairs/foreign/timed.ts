import type { Kind } from './kinds.js'

/** MIGRATE tells how much of a time is left, and so each move makes it end some ms later. */
const TOLERANCE_MS = 10_000
const SHORT_MS = 5_000
const LONG_MS = 86_400_000

interface Timed {
  readonly value: string
  readonly endsMs: number
}

/** One that has a time; null: it is not there. */
export const WITH_TIME: Kind<Timed | null> = {
  absent: null,
  write: (key, _, n, random) => {
    const endsMs = Date.now() + (random.next() < 0.5 ? SHORT_MS : LONG_MS)
    return { command: ['SET', key, `v${n}`, 'PXAT', endsMs], apply: () => ({ value: `v${n}`, endsMs }) }
  },
  async read(redis, key) {
    const value = await redis.get(key)
    return value === null ? null : { value, endsMs: await redis.pexpiretime(key) }
  },
  shown: (model) => model,
  same(found, shown) {
    const [now, meant] = [found as Timed | null, shown as Timed | null]
    const leftMs = meant === null ? Number.NEGATIVE_INFINITY : meant.endsMs - Date.now()
    if (now === null) return leftMs < TOLERANCE_MS
    if (meant === null) return false
    // -2: its time was over between the two reads.
    const ends = now.endsMs === -2 ? meant.endsMs : now.endsMs
    return now.value === meant.value && leftMs > -TOLERANCE_MS && isNear(ends, meant.endsMs)
  },
}

type TimedFields = Readonly<Record<string, { readonly value: string; readonly endsMs: number | null }>>

/** Redis 7.4 and Valkey 9: each field may have a time of its own. */
export const FIELD_TIMES: Kind<TimedFields> = {
  absent: {},
  needs: 'HPEXPIREAT',
  write: (key, now, n, random) => {
    const known = Object.keys(now)
    const field = `f${random.between(0, 30)}`
    if (known.length === 0 || random.next() < 0.6)
      return {
        // It loses the time that it had.
        command: ['HSET', key, field, n],
        apply: (before) => ({ ...before, [field]: { value: String(n), endsMs: null } }),
      }
    const timed = random.pick(known)
    const endsMs = Date.now() + LONG_MS
    return {
      command: ['HPEXPIREAT', key, endsMs, 'FIELDS', 1, timed],
      apply: ({ [timed]: before, ...others }) =>
        before === undefined ? others : { ...others, [timed]: { ...before, endsMs } },
    }
  },
  async read(redis, key) {
    const values = Object.entries(await redis.hgetall(key))
    if (values.length === 0) return {}
    const names = values.map(([field]) => field)
    const times = await redis.call('HPEXPIRETIME', key, 'FIELDS', names.length, ...names)
    return Object.fromEntries(
      values.map(([field, value], i) => {
        const endsMs = (times as number[])[i] ?? -1
        return [field, { value, endsMs: endsMs < 0 ? null : endsMs }]
      }),
    )
  },
  shown: (model) => model,
  same(found, shown) {
    const [now, meant] = [found as TimedFields, shown as TimedFields]
    const names = new Set([...Object.keys(now), ...Object.keys(meant)])
    return [...names].every((name) => {
      const [one, other] = [now[name], meant[name]]
      if (!one || !other || one.value !== other.value) return false
      if (one.endsMs === null || other.endsMs === null) return one.endsMs === other.endsMs
      return isNear(one.endsMs, other.endsMs)
    })
  },
}

const isNear = (a: number, b: number) => Math.abs(a - b) < TOLERANCE_MS
