import { megabytes } from '../../megabytes.js'
import type { NodeLink } from '../link.js'
import { redisCli } from '../redis-cli.js'
import { parseFields } from '../replies.js'
import { NodeRefuses, NoRoomError, type Party, StepRefused } from './party.js'

/** Buffers of its own, and what others write meanwhile. */
const SLACK_BYTES = 1024 * 1024
/** How long it is believed of a node that it throws nothing away. */
const BELIEVED_MS = 1_000

/** What a node said that refused a write. Its memory is full, with `noeviction`; or its disk, or its replicas are gone, and the next slot would fare no better. */
export function refusalOf({ name }: Pick<Party, 'name'>, why: string, said: string): StepRefused {
  if (said.includes('OOM'))
    return new NoRoomError(`${why}: ${said}`, `give ${name} more memory (maxmemory); then again`)
  return /MISCONF|NOREPLICAS/.test(said)
    ? new NodeRefuses(
        `${why}: ${said}`,
        `see to it that ${name} takes writes: shardq cluster check; then again`,
      )
    : new StepRefused(`${why}: ${said}`)
}

/** What is known of the nodes that keys are moved to; of one `Nodes`. */
export class Rooms {
  /** By node id: until when it is not asked again. */
  readonly #keeps = new Map<string, number>()
  /** By node id: what it had thrown away when it was first asked. */
  readonly #evicted = new Map<string, number>()

  /**
   * Before keys are sent to a node. One that is full and has a `maxmemory-policy` other than `noeviction` throws keys away for them: those
   * that have just come, which nobody else has any more, or others. With `noeviction` a server refuses what does not fit, and nothing is lost, so
   * that is left to it.
   * @param bytes that it is to have free
   * @throws NoRoomError when it has less, or has thrown keys away since it was first asked
   */
  async expectRoom(link: NodeLink, party: Party, bytes: number): Promise<void> {
    const memory = await this.expectKept(link, party)
    if (memory === undefined || memory.free >= bytes + SLACK_BYTES) return
    throw new NoRoomError(
      `${party.name} has ${megabytes(Math.max(0, memory.free))} free, and would throw keys away for what is moved to it (maxmemory-policy ${memory.policy})`,
      remedyFor(party),
    )
  }

  /**
   * After keys were sent to it.
   * @returns undefined: it throws nothing away
   * @throws NoRoomError when it has thrown keys away since it was first asked
   */
  async expectKept(link: NodeLink, party: Party): Promise<{ policy: string; free: number } | undefined> {
    if ((this.#keeps.get(party.id) ?? 0) > performance.now()) return undefined
    const info = parseFields(await link.text('INFO', 'memory', 'stats'))
    // Also of one that throws nothing away yet: somebody may change that in the middle.
    const evicted = Number(info.get('evicted_keys') ?? 0)
    // Less than before: somebody has set it back (CONFIG RESETSTAT).
    const before = Math.min(this.#evicted.get(party.id) ?? evicted, evicted)
    this.#evicted.set(party.id, before)
    const policy = info.get('maxmemory_policy') ?? 'noeviction'
    const limit = Number(info.get('maxmemory') ?? 0)
    if (policy === 'noeviction' || limit === 0) {
      this.#keeps.set(party.id, performance.now() + BELIEVED_MS)
      return undefined
    }
    if (evicted > before)
      throw new NoRoomError(
        `${party.name} has thrown ${evicted - before} keys away while keys were moved to it (maxmemory-policy ${policy}); they may be the only ones there were`,
        remedyFor(party),
      )
    return { policy, free: limit - countedIn(info) }
  }
}

/** What a server counts against its limit: not the buffers for its replicas and its append-only file. */
const countedIn = (info: ReadonlyMap<string, string>) =>
  Number(info.get('used_memory') ?? 0) - Number(info.get('mem_not_counted_for_evict') ?? 0)

const remedyFor = (party: Party) =>
  `have it refuse what does not fit: ${redisCli(party, {}, 'CONFIG SET maxmemory-policy noeviction')} ; ` +
  'or give it more maxmemory; then again'
