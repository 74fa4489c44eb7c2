import { WitnessSilentError } from '../errors.js'
import { type Address, type LinkOptions, type NodeLink, nameOf, withLink } from '../link.js'
import { unlessNotServed } from './not-served.js'

/** `not seen`: none of those that answered has it, and not all did. */
export type Found = { readonly is: 'found'; readonly value: string } | { readonly is: 'none' | 'not seen' }

/**
 * The other nodes, which are asked what they have. One that does not answer, or does not let us look, has not said that it has nothing; it is asked
 * once, since each of a hundred questions would wait for it in vain.
 */
export class Others {
  readonly #silent = new Map<string, Error>()
  readonly #unseen: string[] = []

  constructor(
    private readonly nodes: readonly Address[],
    private readonly access: LinkOptions,
  ) {}

  /** @param what it is about: `slowlog-max-len`, `user reporter` @param ask for '' where the node has it not */
  async find(what: string, ask: (link: NodeLink) => Promise<string>): Promise<Found> {
    for (const node of this.nodes) {
      if (this.#silent.has(nameOf(node))) continue
      const value = await withLink(node, this.access, ask).catch((error: Error) => {
        unlessNotServed(error)
        this.#silent.set(nameOf(node), error)
        return ''
      })
      if (value !== '') return { is: 'found', value }
    }
    if (this.#silent.size === 0) return { is: 'none' }
    this.#unseen.push(what)
    return { is: 'not seen' }
  }

  /** What was not seen; null: all was. */
  get fault(): WitnessSilentError | null {
    if (this.#unseen.length === 0) return null
    const silent = [...this.#silent].map(([name, { message }]) => `${name} (${message})`)
    return new WitnessSilentError(this.#unseen, silent)
  }
}
