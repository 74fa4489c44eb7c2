import { setTimeout as sleep } from 'node:timers/promises'
import type { NodeLink } from '../link.js'
import { parseFields } from '../replies.js'
import { isRefusal } from '../shutdown.js'
import { LATE_REPLICAS, StepRefused } from './party.js'
import type { Write } from './pieces.js'
import { refusalOf } from './room.js'

/** Bytes after which a replica of the new owner has to have them: what its output buffer can hold at most of a copy. */
const UNCONFIRMED_BYTES = 4 * 1024 * 1024
const WAIT_MS = 1_000
/** Longest wait for a replica that is behind. */
const PATIENCE_MS = 10_000

/** Writes into a slot that its node imports, no faster than a replica follows. */
export class Importer {
  #unconfirmed = 0

  private constructor(
    readonly link: NodeLink,
    readonly name: string,
    private readonly replicas: number,
  ) {}

  static async on(link: NodeLink, name: string): Promise<Importer> {
    const replication = parseFields(await link.text('INFO', 'replication'))
    return new Importer(link, name, Number(replication.get('connected_slaves')))
  }

  /** All in one flight. @throws StepRefused with what the first that was refused says, NodeUnreachableError */
  async write(writes: readonly Write[]): Promise<unknown[]> {
    // ASKING holds for the next command of the connection, and all are written before anything else can be.
    const replies = writes.map(([command, ...args]) => [
      this.link.text('ASKING'),
      this.link.bytes(command, ...args),
    ])
    for (const [, ...args] of writes)
      for (const arg of args) this.#unconfirmed += typeof arg === 'object' ? arg.length : 8
    const done = await Promise.allSettled(replies.flat())
    const failed = done.find((each) => each.status === 'rejected')
    if (failed) throw this.#refused(failed.reason)
    if (this.#unconfirmed >= UNCONFIRMED_BYTES) await this.confirm()
    return done.flatMap((each, i) => (i % 2 === 1 && each.status === 'fulfilled' ? [each.value] : []))
  }

  #refused(error: Error): Error {
    return isRefusal(error)
      ? refusalOf(this, `${this.name} refuses what is moved to it`, error.message)
      : error
  }

  /** Waits until a replica has all that was written. @throws StepRefused after 10 s */
  async confirm(): Promise<void> {
    this.#unconfirmed = 0
    await this.#confirmBy(Math.min(1, this.replicas))
  }

  /** Waits until all that follow it have it, since each may be promoted. @throws StepRefused when fewer than `least` follow */
  async confirmByAll(least: number): Promise<void> {
    if (this.replicas < least)
      throw new StepRefused(
        `${this.name} has ${least} replicas, of which ${this.replicas} follow it: what it gets would be on fewer nodes than it could`,
        'see why they do not follow: shardq cluster check; then again',
      )
    await this.#confirmBy(this.replicas)
  }

  async #confirmBy(count: number): Promise<void> {
    if (count === 0) return
    const deadline = performance.now() + PATIENCE_MS
    while (Number(await this.link.text('WAIT', count, WAIT_MS)) < count) {
      if (performance.now() > deadline)
        throw new StepRefused(
          `${count === 1 ? 'no replica' : 'not every replica'} of ${this.name} keeps up with it`,
          LATE_REPLICAS,
        )
      await sleep(50)
    }
  }
}
