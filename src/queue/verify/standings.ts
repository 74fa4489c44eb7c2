/** How often a task's own name, or its bundle's, stands in lists and leases: none, once, or more than once. */
export interface Standing {
  readonly own: number
  readonly byBundle: number
}

const OWN = 1
const BY_BUNDLE = 4
const RECORD = 16
const USED = 128

/**
 * Counts names in as little memory as can be: nine bytes a place, and places for twice as many names. Names are told apart by 64
 * bits of a hash; whatever two names with the same bits would make look wrong is looked at again by name.
 */
export class Standings {
  #low = new Uint32Array(1 << 12)
  #high = new Uint32Array(1 << 12)
  #states = new Uint8Array(1 << 12)
  #size = 0

  get size(): number {
    return this.#size
  }

  /** @returns whether it had no place before */
  stand(id: string, by: 'own' | 'bundle'): boolean {
    const at = this.#at(lowOf(id), highOf(id))
    const state = this.#states[at] as number
    const unit = by === 'own' ? OWN : BY_BUNDLE
    // Two bits each: beyond 3 it makes no difference.
    if (((state / unit) & 3) < 3) this.#states[at] = state + unit
    return (state & 15) === 0
  }

  /** Notes that the task has a record. */
  record(id: string): Standing {
    const at = this.#at(lowOf(id), highOf(id))
    const state = (this.#states[at] as number) | RECORD
    this.#states[at] = state
    return { own: state & 3, byBundle: (state >> 2) & 3 }
  }

  /** Names that stand somewhere and have no record. */
  withoutRecord(): number {
    let count = 0
    for (const state of this.#states) if ((state & 15) !== 0 && (state & RECORD) === 0) count++
    return count
  }

  #at(low: number, high: number): number {
    if (this.#size * 2 >= this.#states.length) this.#grow()
    const mask = this.#states.length - 1
    let at = low & mask
    for (; ((this.#states[at] as number) & USED) !== 0; at = (at + 1) & mask)
      if (this.#low[at] === low && this.#high[at] === high) return at
    this.#low[at] = low
    this.#high[at] = high
    this.#states[at] = USED
    this.#size++
    return at
  }

  #grow(): void {
    const before = { low: this.#low, high: this.#high, states: this.#states }
    const places = 2 * before.states.length
    this.#low = new Uint32Array(places)
    this.#high = new Uint32Array(places)
    this.#states = new Uint8Array(places)
    this.#size = 0
    for (let i = 0; i < before.states.length; i++) {
      const state = before.states[i] as number
      if ((state & USED) === 0) continue
      this.#states[this.#at(before.low[i] as number, before.high[i] as number)] = state
    }
  }
}

/** One of `classes` equal parts of all names: what is too many for one table is counted part by part. */
export function classOf(id: string, classes: number): number {
  return classes === 1 ? 0 : highOf(id) % classes
}

/** FNV-1a, from two beginnings, each mixed once more at its end. */
const lowOf = (id: string) => hash(id, 0x811c9dc5)
const highOf = (id: string) => hash(id, 0x2b5c3a1f)

function hash(text: string, seed: number): number {
  let value = seed
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 0x01000193)
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35)
  return (value ^ (value >>> 16)) >>> 0
}
