import { randomBytes } from 'node:crypto'
import keySlot from 'cluster-key-slot'
import { tagForSlot } from '../../keys/slots.js'
import type { NodeLink } from '../link.js'
import type { SourceKey } from './pages.js'

/** Until a key under construction goes by itself, when no other piece comes: nobody else removes that of a restore that was killed for good. */
const LASTS_MS = 600_000

const NAME = /^shardq:restore:part:\{[^{}]+\}:[0-9a-f]{32}$/

/** Whether a key can be one under construction: whoever may write the note of a restore is not to have it remove others. */
export const isConstruction = (name: string) => NAME.test(name)

/**
 * KEYS: the key under construction, the name that it is to have; ARGV: when it expires, or -1. In the one name or in the other, never in both.
 * Returns 0 where another has the name.
 */
const FINISH = `#!lua flags=allow-oom
if redis.call('EXISTS', KEYS[1]) == 0 then return 1 end
if redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('UNLINK', KEYS[1])
  return 0
end
redis.call('RENAME', KEYS[1], KEYS[2])
if tonumber(ARGV[1]) >= 0 then redis.call('PEXPIREAT', KEYS[2], ARGV[1]) else redis.call('PERSIST', KEYS[2]) end
return 1`

/**
 * A key that is put together from pieces, under a name in its slot that nobody else has. So a client that writes to the key itself meanwhile
 * loses nothing, and a piece that arrives late, from a restore that was broken off, changes nothing that anybody reads.
 */
export class Construction {
  readonly name: string

  constructor(
    private readonly link: NodeLink,
    private readonly key: SourceKey,
  ) {
    const token = randomBytes(16).toString('hex')
    this.name = `shardq:restore:part:{${tagForSlot(keySlot(key.name))}}:${token}`
  }

  /** In one go with its time to live: a key of ours without one would never go. @throws what the server answers to either */
  async add(command: string, args: readonly (string | number | Buffer)[]): Promise<void> {
    const { link, name } = this
    // Of a command that is refused while it is queued (OOM), this one tells why, and EXEC that nothing was done.
    const [, , , done] = await Promise.all([
      link.bytes('MULTI'),
      link.bytes(command, name, ...args),
      link.bytes('PEXPIRE', name, LASTS_MS),
      link.bytes('EXEC'),
    ])
    const fault = (done as unknown[]).find((each) => each instanceof Error)
    if (fault) throw fault
  }

  /**
   * It gets its own name, and its own time to live.
   * @returns false: another key has that name, and what was put together is removed
   */
  async finish(): Promise<boolean> {
    const { name, expiresAtMs } = this.key
    return Number(await this.link.bytes('EVAL', FINISH, 2, this.name, name, expiresAtMs)) === 1
  }
}
