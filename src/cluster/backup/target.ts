import { setTimeout as sleep } from 'node:timers/promises'
import keySlot from 'cluster-key-slot'
import { RestoreIncompleteError, RestoreRefusedError } from '../errors.js'
import { type Address, type LinkOptions, NodeLink } from '../link.js'
import { observe } from '../observer.js'
import { notesOn, OWN_KEYS } from '../own-keys.js'
import { parseFields } from '../replies.js'
import { slotsIn } from '../slots.js'
import { timeOf } from './clocks.js'
import { countKeys, type KeyCount } from './count.js'
import { judge, type Owner } from './standing.js'

const LINK_MS = 60_000
const CONFIRM_MS = 30_000
const POLL_MS = 50
/** A replica may drop behind by so much before it is waited for: what it has not taken yet, its master has to keep. */
const AHEAD_BYTES = 8 * 1024 * 1024

/** A master that is filled. */
export class TargetNode {
  #ahead = 0

  constructor(
    readonly name: string,
    readonly link: NodeLink,
    readonly replicas: number,
  ) {}

  /** To be called for what was written; now and then it waits for the replicas. */
  async written(bytes: number): Promise<void> {
    this.#ahead += bytes
    if (this.#ahead < AHEAD_BYTES) return
    this.#ahead = 0
    if (this.replicas > 0) await this.link.reply('WAIT', this.replicas, LINK_MS / 4)
  }

  /**
   * Returns when all replicas have all that is here by now, whoever wrote it. WAIT alone would only speak of this connection's
   * writes; but it makes the replicas tell at once where they are.
   * @throws RestoreIncompleteError
   */
  async confirm(): Promise<void> {
    if (this.replicas === 0) return
    const deadline = performance.now() + CONFIRM_MS
    const goal = (await this.#offsets()).master
    await this.link.reply('WAIT', this.replicas, LINK_MS / 4)
    for (;;) {
      const { replicas } = await this.#offsets()
      const confirmed = replicas.filter((offset) => offset >= goal).length
      if (confirmed >= this.replicas) return
      if (performance.now() > deadline)
        throw new RestoreIncompleteError(
          `${confirmed} of ${this.replicas} replicas of ${this.name} have all of it after ${CONFIRM_MS / 1000} s`,
        )
      await sleep(POLL_MS)
    }
  }

  async #offsets(): Promise<{ master: number; replicas: number[] }> {
    const info = parseFields(await this.link.text('INFO', 'replication'))
    const replicas = [...info].flatMap(([name, value]) => {
      const found = /^slave\d+$/.test(name) && /state=online,offset=(\d+)/.exec(value)
      return found ? [Number(found[1])] : []
    })
    return { master: Number(info.get('master_repl_offset')), replicas }
  }

  /** Ms since 1970 by its clock, which decides what has expired there. */
  async nowMs(): Promise<number> {
    return timeOf(this.link)
  }
}

/** The cluster that is filled. */
export class Target {
  readonly #bySlot: TargetNode[] = []

  private constructor(readonly nodes: readonly TargetNode[]) {}

  /**
   * Finds who serves what. All nodes have to answer and agree, all replicas to be linked, since they are to have everything too.
   * @throws RestoreRefusedError with all that is wrong; what no node answers with; AuthenticationError
   */
  static async open(seeds: readonly Address[], access: LinkOptions): Promise<Target> {
    const observation = await observe(seeds, access)
    const found = judge(observation)
    if ('faults' in found) throw new RestoreRefusedError(found.faults.join('; '))
    const unlinked = observation.nodes.flatMap((node) =>
      node.up && node.info.get('role') === 'slave' && node.info.get('master_link_status') !== 'up'
        ? [`replica ${node.name} is not linked to its master`]
        : [],
    )
    const faults = [...found.silent.map((name) => `${name} does not answer`), ...unlinked]
    if (faults.length > 0)
      throw new RestoreRefusedError(`${faults.join('; ')}; look at it with: shardq cluster check`)
    const replicasOf = ({ id }: Owner) => found.nodes.filter(({ masterId }) => masterId === id).length
    return await Target.#connect(found.owners, replicasOf, access)
  }

  static async #connect(
    owners: readonly Owner[],
    replicasOf: (owner: Owner) => number,
    access: LinkOptions,
  ): Promise<Target> {
    const opened = await Promise.allSettled(
      owners.map(async (owner) => {
        const link = await NodeLink.open(owner.address, { ...access, timeoutMs: LINK_MS })
        return { owner, node: new TargetNode(owner.name, link, replicasOf(owner)) }
      }),
    )
    const nodes = opened.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
    const target = new Target(nodes.map(({ node }) => node))
    const failed = opened.find((each) => each.status === 'rejected')
    if (failed) {
      target.close()
      throw failed.reason
    }
    for (const { owner, node } of nodes) for (const slot of slotsIn(owner.slots)) target.#bySlot[slot] = node
    return target
  }

  /** By its slot, and nothing else, is a key put where it belongs. */
  nodeOf(key: Buffer): TargetNode {
    return this.ownerOf(keySlot(key))
  }

  ownerOf(slot: number): TargetNode {
    return this.#bySlot[slot] as TargetNode
  }

  /** What is in the cluster, without what the tools write down there. */
  async count(): Promise<KeyCount> {
    const counts = await Promise.all(this.nodes.map((node) => countKeys(node.link, this.#ownOf(node))))
    const sum = (of: (count: KeyCount) => number) => counts.reduce((total, count) => total + of(count), 0)
    return {
      all: sum(({ all }) => all),
      lasting: sum(({ lasting }) => lasting),
      withFieldTimes: sum(({ withFieldTimes }) => withFieldTimes),
    }
  }

  /** Names of what the tools have written down here. */
  async notes(): Promise<string[]> {
    return (await Promise.all(this.nodes.map((node) => notesOn(node.link, this.#ownOf(node))))).flat()
  }

  /**
   * Names of all keys of whoever serves these slots, page by page, but of our notes. A server removes what has expired rather than to name it.
   * @param slots default: all
   */
  async *keys(slots?: readonly number[]): AsyncGenerator<{ node: TargetNode; names: Buffer[] }> {
    const nodes = slots ? new Set(slots.map((slot) => this.ownerOf(slot))) : this.nodes
    for (const node of nodes) {
      const notes = await notesOn(node.link, this.#ownOf(node))
      let cursor = '0'
      do {
        const [next, names] = (await node.link.bytes('SCAN', cursor, 'COUNT', 1_000)) as [Buffer, Buffer[]]
        yield { node, names: names.filter((name) => !notes.includes(name.toString('latin1'))) }
        cursor = String(next)
      } while (cursor !== '0')
    }
  }

  /** A key that is no note of ours, and who has it; null: it is empty. */
  async someKey(): Promise<{ node: TargetNode; key: Buffer } | null> {
    for await (const { node, names } of this.keys()) {
      const [key] = names
      if (key) return { node, key }
    }
    return null
  }

  #ownOf(node: TargetNode): readonly string[] {
    return OWN_KEYS.filter((name) => this.nodeOf(Buffer.from(name)) === node)
  }

  close(): void {
    for (const { link } of this.nodes) link.close()
  }
}
