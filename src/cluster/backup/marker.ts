import { KeyTakenError, RestoreRefusedError } from '../errors.js'
import type { Address, LinkOptions } from '../link.js'
import { KeyLink } from '../operation/key-link.js'
import { RESTORE_KEY } from '../own-keys.js'
import { isConstruction } from './construction.js'

const CALL_MS = 10_000
const CONFIRM_MS = 2_000

/** What a restore that was begun has written down. */
export interface Begun {
  /** Id of the backup. */
  readonly backup: string
  readonly folder: string
  readonly begunAt: string
  /** Name of a key under construction, if it is one. */
  readonly partial: string | undefined
}

export interface MarkerOptions {
  /** Whether there are replicas that can be asked to confirm it. */
  readonly replicated: boolean
  readonly signal: AbortSignal | undefined
}

/**
 * The note of a restore in the cluster itself, where every later one finds it, from whatever machine it comes. Gone when the restore is at
 * its end.
 */
export class Marker {
  readonly #link: KeyLink

  constructor(
    seeds: readonly Address[],
    access: LinkOptions,
    private readonly options: MarkerOptions,
  ) {
    this.#link = new KeyLink(seeds, access)
  }

  /** @throws RestoreRefusedError where somebody has put something else there */
  async read(): Promise<Begun | null> {
    const flat = (await this.#call('HGETALL', RESTORE_KEY).catch((error: Error) => {
      throw error instanceof KeyTakenError ? new RestoreRefusedError(error.message, { cause: error }) : error
    })) as string[]
    const fields = new Map<string, string>()
    for (let i = 0; i + 1 < flat.length; i += 2) fields.set(flat[i] ?? '', flat[i + 1] ?? '')
    if (fields.size === 0) return null
    return {
      backup: fields.get('backup') ?? '?',
      folder: fields.get('folder') ?? '?',
      begunAt: fields.get('begunAt') ?? '?',
      partial: [fields.get('partial') ?? ''].find(isConstruction),
    }
  }

  /** Before the first key is copied, and known to a replica where there is one: a failover is not to forget it. */
  async begin(backup: string, folder: string): Promise<void> {
    const begunAt = new Date().toISOString()
    await this.#call('HSET', RESTORE_KEY, 'backup', backup, 'folder', folder, 'begunAt', begunAt)
    await this.#confirm()
  }

  /** @param name of a key under construction, from now on */
  async beginKey(name: string): Promise<void> {
    await this.#call('HSET', RESTORE_KEY, 'partial', name)
  }

  async endKey(): Promise<void> {
    await this.#call('HDEL', RESTORE_KEY, 'partial')
  }

  async end(): Promise<void> {
    await this.#call('DEL', RESTORE_KEY)
    await this.#confirm()
  }

  close(): void {
    this.#link.close()
  }

  async #confirm(): Promise<void> {
    if (this.options.replicated) await this.#call('WAIT', 1, CONFIRM_MS)
  }

  #call(command: string, ...args: (string | number)[]): Promise<unknown> {
    return this.#link.call({ timeoutMs: CALL_MS, signal: this.options.signal }, command, ...args)
  }
}
