import type { Address, LinkOptions } from '../link.js'
import { KeyLink } from '../operation/key-link.js'
import type { ServerVersion } from '../version.js'

/** A HASH with a field for each note; gone when nothing is owed. */
export const OWED_KEY = 'shardq:owed'

const CALL_MS = 5_000

/** Also where memory is full: what makes room is an operation too. */
const NOTE = `#!lua flags=allow-oom
return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])`

interface Common {
  /** Of the node. */
  readonly id: string
  /** The operation, as on the command line. */
  readonly operation: string
}

/** Settings that an operation needs otherwise for its own time. */
export interface Lent extends Common {
  readonly kind: 'lent'
  /** By the name of the setting. One that is neither by now was set by somebody else, and stays. */
  readonly settings: Readonly<{ [name: string]: { readonly was: string; readonly lent: string } }>
}

/** What a node knew that is being restarted. No secret is in it: those are taken from other nodes, which have the same. */
export interface Restarted extends Common {
  readonly kind: 'restarted'
  /** The process that knew it, and as long as it runs, has lost nothing. */
  readonly run: string
  readonly server: ServerVersion | null
  readonly settings: Readonly<{ [name: string]: string }>
  /** Names of settings that were at the default of that server; null: not known. */
  readonly byDefault: readonly string[] | null
  /** Names of settings with secrets that it had. */
  readonly secrets: readonly string[]
  /** Lines of ACL LIST, `#` in the place of each hash. */
  readonly users: readonly string[]
}

export type Owed = Lent | Restarted

const fieldOf = ({ kind, id }: Pick<Owed, 'kind' | 'id'>) => `${kind} ${id}`

/**
 * What nodes are owed, written down before it is, in the cluster itself, by whoever serves it at the moment: an operation that is
 * killed gives nothing back, and whoever comes next would not know what it was.
 */
export class OwedNotes {
  readonly #link: KeyLink

  constructor(
    seeds: readonly Address[],
    access: LinkOptions,
    private readonly timeoutMs = CALL_MS,
  ) {
    this.#link = new KeyLink(seeds, access)
  }

  /** What cannot be read is nobody's to give back. */
  async read(): Promise<Owed[]> {
    const flat = (await this.#call('HGETALL', OWED_KEY)) as string[]
    return flat.flatMap((text, index) => (index % 2 === 1 ? (parse(text) ?? []) : []))
  }

  /** A replica is asked to confirm it, before anything is done. */
  async write(owed: Owed): Promise<void> {
    await this.#call('EVAL', NOTE, 1, OWED_KEY, fieldOf(owed), JSON.stringify(owed))
    await this.#link.confirm()
  }

  async clear(owed: Pick<Owed, 'kind' | 'id'>): Promise<void> {
    await this.#call('HDEL', OWED_KEY, fieldOf(owed))
  }

  close(): void {
    this.#link.close()
  }

  #call(command: string, ...args: (string | number)[]): Promise<unknown> {
    return this.#link.call({ timeoutMs: this.timeoutMs }, command, ...args)
  }
}

function parse(text: string): Owed | null {
  try {
    const owed = JSON.parse(text) as Owed
    return owed.kind === 'lent' || owed.kind === 'restarted' ? owed : null
  } catch {
    return null
  }
}
