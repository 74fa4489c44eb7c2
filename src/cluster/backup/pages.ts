import type { NodeLink } from '../link.js'

/** A key as it was backed up. */
export interface SourceKey {
  readonly name: Buffer
  /** When it expires, in ms since 1970; -1: never. */
  readonly expiresAtMs: number
  /** As DUMP gives it; null where it is too big to be copied in one piece. */
  readonly dump: Buffer | null
  /** Of its value, to compare it with; null where there is no dump, or it was not asked for. */
  readonly sum: string | null
}

export interface PageOptions {
  /** Above so many bytes, by MEMORY USAGE, a key is not dumped. */
  readonly bigKeyBytes: number
  /** Whether to sum values up, to compare them. Default false. */
  readonly sums?: boolean
}

/** Keys looked at by one call, about; and bytes after which the rest of them are not dumped. */
const PAGE_KEYS = 400
const PAGE_BYTES = 32 * 1024 * 1024

/** DUMP ends with the version of its format and a checksum, which say nothing of the value. */
export const FOOTER_BYTES = 10

/**
 * For the scripts of both sides: SHA-1 of a value. Sets and hashes have their elements in another order on every server, so these
 * are put in order first. Where the sums of two values differ they may be the same all the same, and are looked at more closely.
 */
export const SUM = `
local function sum(key, dump)
  local kind = redis.call('TYPE', key).ok
  if kind ~= 'set' and kind ~= 'hash' then return redis.sha1hex(string.sub(dump, 1, -${FOOTER_BYTES + 1})) end
  local flat, parts = redis.call(kind == 'set' and 'SMEMBERS' or 'HGETALL', key), {}
  local width = kind == 'set' and 1 or 2
  for i = 1, #flat, width do
    local part = #flat[i] .. ':' .. flat[i]
    parts[#parts + 1] = width == 1 and part or part .. #flat[i + 1] .. ':' .. flat[i + 1]
  end
  if (kind == 'hash') then
    -- Fields may have times of their own, from Redis 7.4 on.
    for i = 1, #flat, 1000 do
      local some = {}
      for at = i, math.min(i + 998, #flat), 2 do some[#some + 1] = flat[at] end
      local times = redis.pcall('HPEXPIRETIME', key, 'FIELDS', #some, unpack(some))
      if times.err then break end
      for at, time in ipairs(times) do
        if time > 0 then parts[#parts + 1] = #some[at] .. ':' .. some[at] .. string.format('@%.0f', time) end
      end
    end
  end
  table.sort(parts)
  return redis.sha1hex(table.concat(parts))
end`

/**
 * All keys with all that is needed of them, page by page. Our own server, so a script is allowed, and one call does what would be
 * three for each key. The clock stands still while a script runs: what has not expired for SCAN has not for DUMP.
 */
const PAGE = `${SUM}
local page = redis.call('SCAN', ARGV[1], 'COUNT', ARGV[2])
local most, left = tonumber(ARGV[3]), tonumber(ARGV[4])
local out = { page[1] }
for _, key in ipairs(page[2]) do
  local size = redis.call('MEMORY', 'USAGE', key)
  local dump = false
  if size and size <= most and left > 0 then
    dump = redis.call('DUMP', key)
    left = left - #dump
  end
  out[#out + 1] = key
  out[#out + 1] = string.format('%.0f', redis.call('PEXPIRETIME', key))
  out[#out + 1] = dump
  out[#out + 1] = dump and ARGV[5] == '1' and sum(key, dump)
end
return out`

export async function* pagesOf(link: NodeLink, options: PageOptions): AsyncGenerator<SourceKey[]> {
  const { bigKeyBytes, sums = false } = options
  let cursor = '0'
  do {
    const args = [cursor, PAGE_KEYS, bigKeyBytes, PAGE_BYTES, sums ? 1 : 0]
    const [next, ...flat] = (await link.bytes('EVAL', PAGE, 0, ...args)) as (Buffer | null)[]
    cursor = String(next)
    const keys: SourceKey[] = []
    for (let i = 0; i + 3 < flat.length; i += 4)
      keys.push({
        name: flat[i] as Buffer,
        expiresAtMs: Number(flat[i + 1]),
        dump: flat[i + 2] ?? null,
        sum: flat[i + 3]?.toString('latin1') ?? null,
      })
    if (keys.length > 0) yield keys
  } while (cursor !== '0')
}
