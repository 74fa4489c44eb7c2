const MOST = 20

/** Each complaint once, with how often; the first 20 kinds, so that an outage cannot fill the memory. */
export class Complaints {
  readonly #counts = new Map<string, number>()

  add(error: Error): void {
    // Ids and numbers differ from one to the next; what is said does not.
    const text = `${error.name}: ${error.message}`.replaceAll(/\b[0-9a-z]+\.[0-9a-z.-]+\b/g, '...')
    const count = this.#counts.get(text)
    if (count !== undefined) this.#counts.set(text, count + 1)
    else if (this.#counts.size < MOST) this.#counts.set(text, 1)
  }

  get list(): readonly string[] {
    return [...this.#counts].map(([text, count]) => (count === 1 ? text : `${text} (${count} times)`))
  }
}
