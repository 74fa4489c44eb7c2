import { randomBytes } from 'node:crypto'
import { type Address, type LinkFence, type LinkOptions, nameOf, withLink } from '../link.js'

const PREFIX = 'shardq:operation:'
/** For the list of its clients, which is long where there are many. */
const LIST_MS = 10_000

/**
 * What keeps a command from arriving when nobody reckons with it any more. A command of which no answer came may lie in a buffer, of the network
 * or of a server that stands still, and be carried out much later: an UNLINK of what has become the only copy. Servers check no token,
 * but they forget a connection that is closed, with all that has come over it and was not carried out yet. So before an operation says anything to a
 * node, the connections of operations before it are closed there, and those over which it has not got an answer itself; what it
 * reads after that stays so.
 *
 * Connections are told from others by their name (CLIENT SETNAME): `shardq:operation:`, a token of the operation, a number.
 */
export class Fence implements LinkFence {
  readonly #own = `${PREFIX}${randomBytes(8).toString('hex')}:`
  #links = 0
  /** By node. */
  readonly #entering = new Map<string, Promise<void>>()
  /** Names of connections that may have something under way, by node. */
  readonly #unanswered = new Map<string, Set<string>>()

  /** @param isAlone whether there can be no other operation: without the lock, one may be under way, and goes on */
  constructor(private readonly isAlone: boolean) {}

  /** A name for one more connection. */
  nameNext(): string {
    return `${this.#own}${++this.#links}`
  }

  /** Over a connection that has its name by now. @throws as NodeLink does: then nothing may be said to that node */
  async enter(address: Address, access: LinkOptions): Promise<void> {
    const node = nameOf(address)
    const isFirst = this.isAlone && !this.#entering.has(node)
    if (!isFirst && !this.#unanswered.has(node)) return this.#entering.get(node)
    const entering = this.#close(address, access)
    this.#entering.set(node, entering)
    try {
      await entering
    } catch (error) {
      if (this.#entering.get(node) === entering) this.#entering.delete(node)
      throw error
    }
  }

  unanswered(address: Address, name: string): void {
    const node = nameOf(address)
    const names = this.#unanswered.get(node) ?? new Set()
    this.#unanswered.set(node, names.add(name))
  }

  /** It has answered what came after that, so that was carried out, or never will be. */
  answered(address: Address, name: string): void {
    const node = nameOf(address)
    const names = this.#unanswered.get(node)
    names?.delete(name)
    if (names?.size === 0) this.#unanswered.delete(node)
  }

  async #close(address: Address, { fence: _, ...access }: LinkOptions): Promise<void> {
    const node = nameOf(address)
    await withLink(address, { ...access, timeoutMs: LIST_MS }, async (link) => {
      const late = new Set(this.#unanswered.get(node))
      const isLate = (name: string) =>
        late.has(name) || (this.isAlone && name.startsWith(PREFIX) && !name.startsWith(this.#own))
      for (const { id, name } of clientsIn(await link.text('CLIENT', 'LIST', 'TYPE', 'normal')))
        if (isLate(name)) await link.text('CLIENT', 'KILL', 'ID', id)
      for (const name of late) this.answered(address, name)
    })
  }
}

/** `id=7 addr=127.0.0.1:50000 laddr=... fd=8 name=... age=0 ...`, a line for each. No name has a space in it. */
const clientsIn = (text: string) =>
  text.split('\n').flatMap((line) => {
    const [, id] = /^id=(\d+) /.exec(line) ?? []
    const [, name] = / name=(\S*)/.exec(line) ?? []
    return id === undefined || !name ? [] : [{ id, name }]
  })
