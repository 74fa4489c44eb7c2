import { DrillNotHealedError } from './errors.js'

/** Longest that one repair may take: a foreign server is given 30 s to come back, and a local one 10 s to start. */
const REPAIR_MS = 45_000

interface Repair {
  readonly what: string
  readonly mend: () => Promise<void>
}

/** What the drill owes the cluster: entered before the harm is done, paid by the drill itself or on its way out. */
export class Repairs {
  readonly #owed = new Set<Repair>()

  /** @returns mends it now, and takes it off the list */
  owe(what: string, mend: () => Promise<void>): () => Promise<void> {
    const repair = { what, mend }
    this.#owed.add(repair)
    return async () => {
      await mend()
      this.#owed.delete(repair)
    }
  }

  /** Mends all that is owed, the last harm first, each whether or not the others succeed. @throws DrillNotHealedError */
  async payAll(cause?: unknown): Promise<void> {
    const undone: string[] = []
    for (const repair of [...this.#owed].reverse()) {
      try {
        await bounded(repair.mend())
        this.#owed.delete(repair)
      } catch (error) {
        undone.push(`${repair.what} (${(error as Error).message})`)
      }
    }
    if (undone.length > 0) throw new DrillNotHealedError(undone, { cause })
  }
}

async function bounded(mending: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done within ${REPAIR_MS} ms`)), REPAIR_MS)
  })
  try {
    await Promise.race([mending, late])
  } finally {
    clearTimeout(timer)
  }
}
