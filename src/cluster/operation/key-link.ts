import { setTimeout as sleep } from 'node:timers/promises'
import { AuthenticationError } from '../../errors.js'
import { KeyTakenError, NodeUnreachableError, OperationLostError } from '../errors.js'
import { type Address, type LinkOptions, NodeLink, nameOf, withLink } from '../link.js'
import { type NodeView, parseClusterNodes } from '../replies.js'

const RETRY_MS = 100
/** Of the wait for a replica. */
const CONFIRM_MS = 500
/** Redirects in a row without a pause; more of them are nodes that do not agree yet. */
const MOST_HOPS = 4
/** Replies that pass with a failover, a start, or the move of a slot. */
const PASSING = /^(CLUSTERDOWN|TRYAGAIN|LOADING|MASTERDOWN|READONLY) /

export interface CallOptions {
  /** Longest time for which it is tried, in ms. */
  readonly timeoutMs: number
  readonly signal?: AbortSignal | undefined
}

/**
 * Sends commands on one key to whoever serves it at the moment, through a failover of that node and the move of the slot.
 * Not for much traffic: every call that meets a node which has gone looks for another among all that it has heard of.
 */
export class KeyLink {
  readonly #links = new Map<string, NodeLink>()
  #known: readonly Address[]
  #home: Address

  /** @param seeds at least one */
  constructor(
    seeds: readonly Address[],
    private readonly access: LinkOptions,
  ) {
    this.#known = seeds
    this.#home = seeds[0] ?? { host: '127.0.0.1', port: 0 }
  }

  /**
   * @param args the key is the first of them, or that of a script
   * @throws what the last try failed with, when the time is over; at once, AuthenticationError, KeyTakenError, and errors that do not pass
   */
  async call(
    { timeoutMs, signal }: CallOptions,
    command: string,
    ...args: (string | number)[]
  ): Promise<unknown> {
    const deadline = performance.now() + timeoutMs
    let asking = false
    for (let hops = 0, turn = 0; ; ) {
      const at = this.#home
      try {
        return await this.#send(at, asking, command, args)
      } catch (error) {
        const redirect = redirectOf(error as Error, at)
        asking = redirect?.asking ?? false
        if (redirect) {
          this.#home = redirect.to
          if (++hops <= MOST_HOPS) continue
        } else {
          if (!this.#passes(error, at)) throw explained(error as Error, command, args)
          this.#home = this.#known[turn++ % this.#known.length] ?? at
        }
        hops = 0
        if (signal?.aborted || performance.now() > deadline) throw error
        await sleep(RETRY_MS)
      }
    }
  }

  /**
   * Asks a replica whether it has what was written just before. Over the connection by which that was written, or not at all: WAIT counts from
   * there, and of another one, or of another master, says yes to everything.
   * @returns why nobody knows; null: a replica has it, or the master has none that could take its place
   */
  async confirm(): Promise<string | null> {
    const name = nameOf(this.#home)
    const link = this.#links.get(name)
    if (!link) return `the connection to ${name} has broken`
    try {
      const nodes = parseClusterNodes(await link.text('CLUSTER', 'NODES'), this.#home.host)
      const self = nodes.find(({ myself }) => myself)
      if (self?.role !== 'master') return `${name} is no master any more`
      const isHeir = ({ masterId, flags }: NodeView) => masterId === self.id && !flags.includes('fail')
      // WAIT would wait for nobody for all of its time.
      if (!nodes.some(isHeir)) return null
      const confirmed = Number(await link.reply('WAIT', 1, CONFIRM_MS))
      return confirmed > 0 ? null : `no replica of ${name} has said within ${CONFIRM_MS} ms that it has it`
    } catch (error) {
      // One that says why it refuses to tell is as good as before.
      if (!this.#passes(error, this.#home) && error instanceof OperationLostError) throw error
      return (error as Error).message
    }
  }

  /** What every node answers that is known, and answers: of its own, whoever serves the key. */
  async everywhere(command: string, ...args: (string | number)[]): Promise<unknown[]> {
    const replies = await Promise.allSettled(
      this.#known.map((node) => withLink(node, this.access, (link) => link.reply(command, ...args))),
    )
    return replies.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  }

  close(): void {
    for (const link of this.#links.values()) link.close()
    this.#links.clear()
  }

  async #send(at: Address, asking: boolean, command: string, args: (string | number)[]): Promise<unknown> {
    const link = await this.#link(at)
    const [, reply] = await Promise.all([
      asking ? link.text('ASKING') : undefined,
      link.reply(command, ...args),
    ])
    return reply
  }

  /** The first answer of each node tells of the others, so that the seeds may die or be removed meanwhile. */
  async #link(at: Address): Promise<NodeLink> {
    const name = nameOf(at)
    const open = this.#links.get(name)
    if (open) return open
    const link = await NodeLink.open(at, this.access)
    this.#links.set(name, link)
    const nodes = parseClusterNodes(await link.text('CLUSTER', 'NODES'), at.host)
    const reachable = nodes.filter(({ flags }) => !flags.includes('noaddr') && !flags.includes('handshake'))
    if (reachable.length > 0) this.#known = reachable.map(({ host, port }) => ({ host, port }))
    return link
  }

  /** A link that has failed is not used again: it does not reconnect. */
  #passes(error: unknown, at: Address): boolean {
    if (error instanceof AuthenticationError || error instanceof OperationLostError) return false
    const { message } = error as Error
    if (PASSING.test(message)) return true
    if (!(error instanceof NodeUnreachableError) && /^[A-Z]+ /.test(message)) return false
    this.#links.get(nameOf(at))?.close()
    this.#links.delete(nameOf(at))
    return true
  }
}

function explained(error: Error, command: string, args: readonly (string | number)[]): Error {
  if (!error.message.startsWith('WRONGTYPE')) return error
  return new KeyTakenError(String(command === 'EVAL' ? args[2] : args[0]), { cause: error })
}

/** Where a server sends us that does not serve the key. */
export function redirectOf({ message }: Error, asked: Address): { to: Address; asking: boolean } | null {
  // A node that does not know the other's host leaves it out, and means its own.
  const found = /^(MOVED|ASK) \d+ (\S*):(\d+)$/.exec(message)
  if (!found) return null
  const [, kind, host, port] = found
  return { to: { host: host || asked.host, port: Number(port) }, asking: kind === 'ASK' }
}
