import {
  InterruptedError,
  OperationLostError,
  RestoreIncompleteError,
  RestoreRefusedError,
} from '../errors.js'
import type { NodeLink } from '../link.js'
import { notesOn } from '../own-keys.js'
import { expiredIn } from './account.js'
import { mustAgreeOnTime } from './clocks.js'
import { comparePage, copyKeys, type Seen, setTime } from './copy.js'
import { countKeys } from './count.js'
import { dropForeign, foreignFault } from './foreign.js'
import { giveLibraries, holderOf } from './libraries.js'
import type { LoadServer } from './load-server.js'
import { withLoaded } from './look.js'
import { lookAtAll, type Sources } from './look-at-all.js'
import type { ShardFile } from './manifest.js'
import type { Begun, Marker } from './marker.js'
import { evictedOn, evictionText, fullText, isOutOfMemory } from './memory.js'
import { pagesOf, type SourceKey } from './pages.js'
import type { RestoredFile } from './restore-options.js'
import { countFilled, foreignText } from './surplus.js'
import type { TargetNode } from './target.js'

const BIG_KEY_BYTES = 1024 * 1024

interface Parts extends Sources {
  readonly marker: Marker
  readonly begun: Begun | null
}

/** Fills a cluster from a backup, from the first file to the last key. */
export class Filling {
  #lasting = 0
  #withFieldTimes = 0
  /** Whether the cluster says that it is being filled. Not before a server has read every file. */
  #marked: boolean
  /** Keys that each node had given up before we came. */
  readonly #evicted = new Map<TargetNode, number>()

  constructor(private readonly parts: Parts) {
    this.#marked = parts.begun !== null
  }

  async run(): Promise<RestoredFile[]> {
    const { backup, server, target, marker, options } = this.parts
    const { folder, manifest } = backup
    const files: RestoredFile[] = []
    try {
      for (const node of target.nodes) this.#evicted.set(node, await evictedOn(node))
      if (!this.#marked) await lookAtAll(this.parts)
      if (!this.#marked) await marker.begin(manifest.id, folder)
      this.#marked = true
      await this.#removePartial()
      // One after the other, so that this machine needs memory for the largest, not for all.
      for (const shard of manifest.shards) {
        const file = await withLoaded(server, backup, shard, options.signal, (loaded) =>
          this.#restoreFile(shard, loaded),
        )
        files.push(file)
        options.onProgress?.({ state: 'restored', file })
      }
      await this.#countAll(files)
      for (const node of target.nodes) await node.confirm()
      await marker.end()
      return files
    } catch (error) {
      if (this.#marked && options.signal?.aborted && !(error instanceof OperationLostError))
        throw new RestoreIncompleteError('it was interrupted', { cause: error })
      if (error instanceof RestoreIncompleteError) throw error
      if (!this.#marked && options.signal?.aborted)
        throw new InterruptedError('the restore', { cause: error })
      const known = error as Error
      const full = isOutOfMemory(known) ? fullText(known.node ?? 'a node') : null
      if (this.#marked) throw new RestoreIncompleteError(full ?? known.message, { cause: error })
      throw full === null ? error : new RestoreRefusedError(full, { cause: error })
    }
  }

  /** Of a restore that was broken off in the middle of a key: what it had put together. */
  async #removePartial(): Promise<void> {
    const { target, marker, begun } = this.parts
    if (begun?.partial === undefined) return
    const name = Buffer.from(begun.partial)
    await target.nodeOf(name).link.bytes('UNLINK', name)
    await marker.endKey()
  }

  async #restoreFile({ file, keys: inFile }: ShardFile, loaded: LoadServer): Promise<RestoredFile> {
    const started = performance.now()
    const { backup, options } = this.parts
    const { nodes } = this.parts.target
    const skipped = options.skipTaken ? await dropForeign(loaded.link) : []
    // Another call has begun, which was to leave it out.
    const taken = await foreignFault(loaded.link)
    if (taken !== null) throw new RestoreIncompleteError(`${file}: ${taken}`)
    const toBring = inFile - skipped.length
    // Before the first file it was looked at too, but that may be hours ago, or be done by a call that was broken off.
    await mustAgreeOnTime(nodes, loaded.link, toBring)
    // Given before the first key; whoever goes on with a restore does not know whether all are there still.
    if (!options.skipFunctions) await giveLibraries(nodes, [await holderOf(file, loaded.link)], backup.folder)
    // Of another cluster, whose nodes they are about.
    const leftOut = await notesOn(loaded.link)
    const found = await this.#copy(file, loaded, leftOut)
    for (const node of nodes) await node.confirm()
    const copied = performance.now()
    const { keys, expired } = await this.#compare(file, loaded, leftOut)
    const { all: left, lasting, withFieldTimes } = await countKeys(loaded.link)
    // What has expired on our server meanwhile is over for the cluster too only if no clock was set.
    await mustAgreeOnTime(nodes, loaded.link, toBring)
    const account = expiredIn({
      ...{ inFile, expiredAtLoad: loaded.expired, left },
      ...{ same: keys, expired, leftOut: leftOut.length + skipped.length },
    })
    if (typeof account === 'string') throw new RestoreIncompleteError(`${file}: ${account}`)
    this.#lasting += lasting
    this.#withFieldTimes += withFieldTimes
    return {
      ...{ file, keys, found, leftOut, skipped },
      expired: account,
      copyMs: Math.round(copied - started),
      compareMs: Math.round(performance.now() - copied),
    }
  }

  /** @returns how many were there already */
  async #copy(file: string, { link, loaded }: LoadServer, leftOut: readonly string[]): Promise<number> {
    const { target, marker, begun } = this.parts
    let found = 0
    await this.#eachPage({ state: 'copying', file, of: loaded }, link, leftOut, async (page) => {
      const states = begun ? await this.#states(link, page) : null
      const missing = states ? page.filter((key) => states.get(key)?.state === 'missing') : page
      for (const { state } of states?.values() ?? []) if (state === 'same' || state === 'moved') found++
      await copyKeys(link, target, marker, missing)
    })
    return found
  }

  /** A key is there as a whole or not at all. Whatever differs was written by somebody since, and is not to be lost. */
  async #states(source: NodeLink, page: readonly SourceKey[]): Promise<ReadonlyMap<SourceKey, Seen>> {
    const states = await comparePage(source, this.parts.target, page, { mustBeThere: false })
    for (const [key, seen] of states)
      if (
        seen.state === 'different' ||
        (seen.state === 'moved' && !(await setTime(this.parts.target, key, seen)))
      )
        throw await this.#changed(key, 'is other')
    return states
  }

  async #compare(
    file: string,
    { link, loaded }: LoadServer,
    leftOut: readonly string[],
  ): Promise<{ keys: number; expired: number }> {
    const { target } = this.parts
    let [keys, expired] = [0, 0]
    await this.#eachPage({ state: 'comparing', file, of: loaded }, link, leftOut, async (page) => {
      const standings = await comparePage(link, target, page, { mustBeThere: true })
      for (const [key, { state: standing }] of standings) {
        if (standing === 'missing') throw await this.#changed(key, 'is gone')
        if (standing === 'different' || standing === 'moved') throw await this.#changed(key, 'is other')
        if (standing === 'expired') expired++
        else keys++
      }
    })
    return { keys, expired }
  }

  /** What expires may have done so since it was compared; of what does not, nothing may be missing and nothing too many. */
  async #countAll(files: readonly RestoredFile[]): Promise<void> {
    const { target, options } = this.parts
    const expected = {
      all: files.reduce((sum, { keys }) => sum + keys, 0),
      ...{ lasting: this.#lasting, withFieldTimes: this.#withFieldTimes },
    }
    const { all, lasting } = await countFilled(target, expected, options.signal)
    const [evicted] = (await Promise.all(target.nodes.map((node) => this.#evictedOn(node)))).filter(
      (text) => text !== null,
    )
    // Perhaps one that expires, of which none would be missed.
    if (evicted) throw new RestoreIncompleteError(evicted)
    const areTooMany = lasting > expected.lasting + expected.withFieldTimes || all > expected.all
    if (!areTooMany && lasting >= expected.lasting) return
    const foreign = areTooMany ? await foreignText(this.parts, files) : null
    throw new RestoreIncompleteError(
      `the cluster has ${lasting} keys that do not expire where the backup has ${expected.lasting}, ${all} in all where it has ` +
        `${expected.all}; something else writes to it${foreign === null ? '' : `: ${foreign}`}`,
    )
  }

  async #eachPage(
    { state, file, of }: { state: 'copying' | 'comparing'; file: string; of: number },
    link: NodeLink,
    leftOut: readonly string[],
    use: (page: readonly SourceKey[]) => Promise<void>,
  ): Promise<void> {
    const { signal, onProgress, bigKeyBytes = BIG_KEY_BYTES } = this.parts.options
    let keys = 0
    let busy: Promise<void> = Promise.resolve()
    const sums = state === 'comparing' || this.parts.begun !== null
    for await (const all of pagesOf(link, { bigKeyBytes, sums })) {
      // While the next page is read, this one is written.
      await busy
      if (signal?.aborted) throw new InterruptedError('the restore')
      busy = use(all.filter(({ name }) => !leftOut.includes(name.toString('latin1'))))
      busy.catch(() => {})
      keys += all.length
      onProgress?.({ state, file, keys, of })
    }
    await busy
  }

  async #changed(key: SourceKey, how: 'is gone' | 'is other'): Promise<RestoreIncompleteError> {
    const node = this.parts.target.nodeOf(key.name)
    const evicted = await this.#evictedOn(node)
    const what = how === 'is gone' ? 'was copied and is gone again' : 'is there otherwise than in the backup'
    const why = `${key.name} on ${node.name} ${what}; ${evicted ?? 'something else writes to this cluster: end that'}`
    // What is gone can be brought again.
    const anew =
      evicted && how === 'is gone' ? '' : ', remove all keys (FLUSHALL on every master), and restore again'
    return new RestoreIncompleteError(why + anew)
  }

  #evictedOn(node: TargetNode): Promise<string | null> {
    return evictionText(node, this.#evicted.get(node) ?? 0)
  }
}
