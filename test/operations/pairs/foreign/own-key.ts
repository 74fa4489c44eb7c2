import type { Cluster } from 'ioredis'
import type { Random } from '../../../chaos/storm/random.js'
import type { Kind } from './kinds.js'

/** After a write of which nobody heard, the key rests so long: it may have been on its way still. */
const REST_MS = 3_000
/** Shown of what a key has and should have. */
const MOST_SHOWN = 600

export interface Lost {
  readonly key: string
  readonly kind: string
  readonly expected: string
  readonly found: string
}

/**
 * One key, which nobody else writes, and what it has to be. After a write that was acknowledged that is one thing. After one that was refused,
 * or of which no reply came, it is either of two: with that write, or without it; whichever of them the next look finds, it is from then on.
 */
export class OwnKey {
  #possible: readonly unknown[]
  #restsUntilMs = 0
  #isLost = false

  constructor(
    readonly name: string,
    readonly kindName: string,
    private readonly kind: Kind,
  ) {
    this.#possible = [kind.absent]
  }

  get isUnsure(): boolean {
    return this.#possible.length > 1
  }

  get isLost(): boolean {
    return this.#isLost
  }

  get mayBeUsed(): boolean {
    return !this.#isLost && performance.now() > this.#restsUntilMs
  }

  /** @throws what the write failed with */
  async write(redis: Cluster, n: number, random: Random): Promise<void> {
    const deletes = random.next() < 0.02
    const { command, apply } = deletes
      ? { command: ['DEL', this.name] as const, apply: () => this.kind.absent }
      : this.kind.write(this.name, this.#possible[0], n, random)
    const after = this.#possible.map(apply)
    const [name, ...args] = command
    try {
      await redis.call(name, ...args)
      this.#possible = distinct(after)
    } catch (error) {
      this.#possible = distinct([...this.#possible, ...after])
      this.#restsUntilMs = performance.now() + REST_MS
      throw error
    }
  }

  /** Looks at all of it. @returns what is wrong; @throws what the look failed with */
  async look(redis: Cluster): Promise<Lost | null> {
    const found = await this.kind.read(redis, this.name)
    // One after the other: some kinds make the value anew, under one name beside the key.
    const shown: unknown[] = []
    for (const model of this.#possible) shown.push(await this.kind.shown(model, redis, this.name))
    const same = this.kind.same ?? isEqual
    const matching = this.#possible.filter((_, i) => same(found, shown[i]))
    if (matching.length > 0) {
      this.#possible = matching
      return null
    }
    this.#isLost = true
    return {
      key: this.name,
      kind: this.kindName,
      expected: shown.map(toText).join(' or '),
      found: toText(found),
    }
  }
}

const isEqual = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b)

const distinct = (models: readonly unknown[]) => [
  ...new Map(models.map((model) => [JSON.stringify(model), model])).values(),
]

/** The end says most: what was written last. */
const toText = (value: unknown) => JSON.stringify(value).slice(-MOST_SHOWN)
