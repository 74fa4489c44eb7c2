import type { Item } from './item.js'

/** Tasks that wait to be sent, oldest first. All operations are O(1) per task. */
export class Backlog {
  /** Tasks that came back from a failed batch: older than all others. */
  #returned: Item[] = []
  /** Places before the head are empty: what is still held here while it grows old costs the garbage collector dear. */
  #items: (Item | undefined)[] = []
  #head = 0

  get size(): number {
    return this.#returned.length + this.#items.length - this.#head
  }

  push(item: Item): void {
    this.#items.push(item)
  }

  putBack(item: Item): void {
    this.#returned.push(item)
  }

  /** Takes up to `count` tasks and `bytes` bytes, at least one; of the returned ones only those that `accepts`. */
  take(count: number, bytes: number, accepts: (item: Item) => boolean = () => true): Item[] {
    const taken: Item[] = []
    let room = bytes
    const fits = (item: Item) => taken.length < count && (taken.length === 0 || item.bytes <= room)
    if (this.#returned.length > 0) {
      this.#returned = this.#returned.filter((item) => {
        if (!fits(item) || !accepts(item)) return true
        taken.push(item)
        room -= item.bytes
        return false
      })
    }
    for (;;) {
      const item = this.#items[this.#head]
      if (!item || !fits(item)) break
      taken.push(item)
      room -= item.bytes
      this.#items[this.#head++] = undefined
    }
    this.#compact()
    return taken
  }

  /** Takes the tasks whose time is over. */
  takeExpired(nowMs: number): Item[] {
    const expired = this.#returned.filter((item) => item.deadlineMs <= nowMs)
    if (expired.length > 0) this.#returned = this.#returned.filter((item) => item.deadlineMs > nowMs)
    for (;;) {
      const item = this.#items[this.#head]
      if (!item || item.deadlineMs > nowMs) break
      expired.push(item)
      this.#items[this.#head++] = undefined
    }
    this.#compact()
    return expired
  }

  /** Drops the consumed front once it is the larger part: constant cost per task in the long run. */
  #compact(): void {
    if (this.#head > 1_024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
  }
}
