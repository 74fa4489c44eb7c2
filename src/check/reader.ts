import { createHash } from 'node:crypto'
import { parseLibraries } from '../cluster/functions.js'
import { type Address, type LinkOptions, type NodeLink, withLink } from '../cluster/link.js'
import { RESTORE_KEY } from '../cluster/own-keys.js'
import { parseUsers, textOf } from '../cluster/users/stored.js'

/** All that may be said to a server besides what `Observer` asks. There is no way to send it anything else. */
type Question =
  | readonly ['TIME']
  | readonly ['ACL', 'LIST']
  | readonly ['FUNCTION', 'LIST', 'WITHCODE']
  | readonly ['CLUSTER', 'COUNTKEYSINSLOT', number]
  | readonly ['HMGET', typeof RESTORE_KEY, 'folder', 'begunAt']

/** A restore that has begun. */
export interface Restore {
  readonly folder: string
  readonly begunAt: string
}

/** Asks one node things, and can do nothing else to it: this is what makes `check` and `doctor` harmless. */
export class Reader {
  constructor(private readonly link: NodeLink) {}

  /** When the certificate that it has shown runs out, in ms since 1970; undefined without TLS. */
  get certificateEndsMs(): number | undefined {
    return this.link.certificateEndsMs
  }

  /** How far the node's clock is ahead of ours, in ms, and how sure that is: the half of the way there and back. */
  async clock(): Promise<{ aheadMs: number; giveOrTakeMs: number }> {
    const [before, startedMs] = [Date.now(), performance.now()]
    const [seconds, micros] = (await this.#ask('TIME')) as [string, string]
    const halfMs = (performance.now() - startedMs) / 2
    return {
      aheadMs: Number(seconds) * 1000 + Number(micros) / 1000 - (before + halfMs),
      giveOrTakeMs: halfMs,
    }
  }

  async keysInSlot(slot: number): Promise<number> {
    return Number(await this.#ask('CLUSTER', 'COUNTKEYSINSLOT', slot))
  }

  /** Of the node that serves its slot: what a restore has written that is not at its end; null: there is none, or the key is somebody's. */
  async restore(): Promise<Restore | null> {
    const found = await this.#ask('HMGET', RESTORE_KEY, 'folder', 'begunAt').catch((error: Error) => {
      if (error.message.startsWith('WRONGTYPE')) return []
      throw error
    })
    const [folder, begunAt] = found as (string | null)[]
    return folder && begunAt ? { folder, begunAt } : null
  }

  /** The rules of each user, with hashes of passwords in them: to be compared, never to be shown. */
  async users(): Promise<ReadonlyMap<string, string>> {
    const users = parseUsers((await this.#ask('ACL', 'LIST')) as string[])
    return new Map([...users].map(([name, user]) => [name, textOf(user)]))
  }

  /** A digest of the code of each library of functions. */
  async functions(): Promise<ReadonlyMap<string, string>> {
    const libraries = parseLibraries(await this.#ask('FUNCTION', 'LIST', 'WITHCODE'))
    const digest = (code: unknown) => createHash('sha256').update(String(code)).digest('hex')
    return new Map([...libraries].map(([name, { code }]) => [name, digest(code)]))
  }

  #ask(...[command, ...args]: Question): Promise<unknown> {
    return this.link.reply(command, ...args)
  }
}

/** Opens a link, lets `use` read, closes it whatever happens. @throws what NodeLink.open throws */
export function withReader<T>(
  address: Address,
  options: LinkOptions,
  use: (reader: Reader) => Promise<T>,
): Promise<T> {
  return withLink(address, options, (link) => use(new Reader(link)))
}
