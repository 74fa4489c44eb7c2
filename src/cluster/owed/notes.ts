import { setTimeout as sleep } from 'node:timers/promises'
import { z } from 'zod'
import { UnconfirmedNoteError } from '../errors.js'
import type { Address, LinkOptions } from '../link.js'
import { KeyLink } from '../operation/key-link.js'
import { OWED_KEY } from '../own-keys.js'

const CALL_MS = 5_000
const RETRY_MS = 100

/** Also where memory is full: what makes room is an operation too. */
const NOTE = `#!lua flags=allow-oom
return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])`

/** The only settings that an operation lends. A note of any other is not ours, and would have us set whatever somebody wrote there. */
const LENT_SETTINGS = ['cluster-allow-replica-migration', 'lazyfree-lazy-server-del'] as const
export type LentSetting = (typeof LENT_SETTINGS)[number]

const Common = {
  /** Of the node. */
  id: z.string(),
  /** The operation, as on the command line. */
  operation: z.string(),
}

/** Settings that an operation needs otherwise for its own time. */
const Lent = z.object({
  ...Common,
  kind: z.literal('lent'),
  /** By the name of the setting. One that is neither by now was set by somebody else, and stays. */
  settings: z.partialRecord(
    z.enum(LENT_SETTINGS),
    z.object({ was: z.enum(['yes', 'no']), lent: z.enum(['yes', 'no']) }),
  ),
})
export type Lent = z.infer<typeof Lent>

/** What a node knew that is being restarted. No secret is in it: those are taken from other nodes, which have the same. */
const Restarted = z.object({
  ...Common,
  kind: z.literal('restarted'),
  /** The process that knew it, and as long as it runs, has lost nothing. */
  run: z.string(),
  server: z.object({ flavour: z.enum(['Redis', 'Valkey']), version: z.string() }).nullable(),
  settings: z.record(z.string(), z.string()),
  /** Names of settings that were at the default of that server; null: not known. */
  byDefault: z.array(z.string()).nullable(),
  /** Names of settings with secrets that it had. */
  secrets: z.array(z.string()),
  /** Lines of ACL LIST, `#` in the place of each hash. */
  users: z.array(z.string()),
  /** The mark of its files, if all of it was told for sure; null: it may be otherwise because the files are. */
  files: z.string().nullable().default(null),
  /** Settings that say where its data are. */
  places: z.record(z.string(), z.string()).default({}),
})
export type Restarted = z.infer<typeof Restarted>

const Owed = z.discriminatedUnion('kind', [Lent, Restarted])
export type Owed = z.infer<typeof Owed>

/** What tells one note from another. */
type Key = Pick<Lent, 'kind' | 'id' | 'settings'> | Pick<Restarted, 'kind' | 'id'>

/** Each setting that is lent has its own: a node may be lent a second one before it has given back the first. */
const fieldOf = (owed: Key) =>
  [owed.kind, owed.id, ...(owed.kind === 'lent' ? Object.keys(owed.settings).sort() : [])].join(' ')

export interface Notes {
  readonly owed: readonly Owed[]
  /** Fields that hold no note of this version, or one under the name of another. */
  readonly unreadable: readonly string[]
}

/**
 * What nodes are owed, written down before it is, in the cluster itself, by whoever serves it at the moment: an operation that is
 * killed gives nothing back, and whoever comes next would not know what it was. A HASH with a field for each; gone when nothing is owed.
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

  async read(): Promise<readonly Owed[]> {
    return (await this.readAll()).owed
  }

  async readAll(): Promise<Notes> {
    const flat = (await this.#call('HGETALL', OWED_KEY)) as string[]
    const owed: Owed[] = []
    const unreadable: string[] = []
    for (let i = 0; i + 1 < flat.length; i += 2) {
      const [field = '', text = ''] = flat.slice(i, i + 2)
      const note = parse(text)
      if (note && fieldOf(note) === field) owed.push(note)
      else unreadable.push(field)
    }
    return { owed, unreadable }
  }

  /**
   * When it comes back, a replica has it, so that whatever is done then is not forgotten with the master.
   * @throws UnconfirmedNoteError when none says so in time; the note may be there all the same
   */
  async write(owed: Owed): Promise<void> {
    const deadline = performance.now() + this.timeoutMs
    for (;;) {
      await this.#call('EVAL', NOTE, 1, OWED_KEY, fieldOf(owed), JSON.stringify(owed))
      const why = await this.#link.confirm()
      if (why === null) return
      if (performance.now() > deadline) throw new UnconfirmedNoteError(owed.operation, why)
      await sleep(RETRY_MS)
    }
  }

  async clear(owed: Key): Promise<void> {
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
    return Owed.parse(JSON.parse(text))
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof z.ZodError) return null
    throw error
  }
}
