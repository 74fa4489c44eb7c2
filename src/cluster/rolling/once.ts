import type { RedisServer } from '../find-server.js'
import type { RollNode } from './standing.js'

/**
 * A run restarts no node twice. What a node says of itself decides whether it is done, and one that says the same after its restart would say it
 * after any other: all that follow would wait for ever, and its shard would be without a replica again and again.
 */
export class Once {
  readonly #ids = new Set<string>()

  /** @param wanted to which it is restarted; null: to its own */
  constructor(private readonly wanted: RedisServer | null) {}

  /** @throws Error for a node that was restarted already */
  restarting({ id, name, executable, server }: RollNode): void {
    if (this.#ids.has(id)) {
      const runs = `${executable ?? 'a server'} (${server ? `${server.flavour} ${server.version}` : 'unknown'})`
      const { wanted } = this
      const not = wanted
        ? `not ${wanted.path} (${wanted.flavour} ${wanted.version}); name by --redis-path the program itself, and no script that starts it`
        : 'and does not count as done'
      throw new Error(`${name} was restarted and runs ${runs}, ${not}`)
    }
    this.#ids.add(id)
  }
}
