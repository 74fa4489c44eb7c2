import type { NodeLink } from '../link.js'

/** A key as it was backed up. */
export interface SourceKey {
  readonly name: Buffer
  /** When it expires, in ms since 1970; -1: never. */
  readonly expiresAtMs: number
  /** As DUMP gives it; null where it is too big to be copied in one piece. */
  readonly dump: Buffer | null
}

export interface PageOptions {
  /** Above so many bytes, by MEMORY USAGE, a key is not dumped. 0: none is, where only the names are wanted. */
  readonly bigKeyBytes: number
}

/** Keys looked at by one call, about; and bytes after which the rest of them are not dumped. */
const PAGE_KEYS = 400
const PAGE_BYTES = 32 * 1024 * 1024

/**
 * All keys with all that is needed of them, page by page. Our own server, so a script is allowed, and one call does what would be
 * three for each key. The clock stands still while a script runs: what has not expired for SCAN has not for DUMP.
 */
const PAGE = `
local page = redis.call('SCAN', ARGV[1], 'COUNT', ARGV[2])
local most, left = tonumber(ARGV[3]), tonumber(ARGV[4])
local out = { page[1] }
for _, key in ipairs(page[2]) do
  local size = most > 0 and redis.call('MEMORY', 'USAGE', key)
  local dump = false
  if size and size <= most and left > 0 then
    dump = redis.call('DUMP', key)
    left = left - #dump
  end
  out[#out + 1] = key
  out[#out + 1] = string.format('%.0f', redis.call('PEXPIRETIME', key))
  out[#out + 1] = dump
end
return out`

export async function* pagesOf(link: NodeLink, { bigKeyBytes }: PageOptions): AsyncGenerator<SourceKey[]> {
  let cursor = '0'
  do {
    const reply = await link.bytes('EVAL', PAGE, 0, cursor, PAGE_KEYS, bigKeyBytes, PAGE_BYTES)
    const [next, ...flat] = reply as (Buffer | null)[]
    cursor = String(next)
    const keys: SourceKey[] = []
    for (let i = 0; i + 2 < flat.length; i += 3)
      keys.push({
        name: flat[i] as Buffer,
        expiresAtMs: Number(flat[i + 1]),
        dump: flat[i + 2] ?? null,
      })
    if (keys.length > 0) yield keys
  } while (cursor !== '0')
}
