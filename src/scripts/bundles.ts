/**
 * Bundles: tasks that were enqueued together are kept as one, under one name, for as long as the same happens to all of
 * them; so storing, handing out and completing them costs the server one entry, not one for each. As soon as something
 * happens to a part of them, they are taken apart (shared/bundle.lua), and each goes its own way.
 *
 * The name of a bundle ends in `~` and its size as one digit of base 36; the id of each of its tasks is that name and the
 * task's place in it as one digit more. So any id tells in which bundle its task may still be.
 */

/** Most tasks and bytes in one: what is read again when one is taken apart. */
export const BUNDLE_TASKS = 32
export const BUNDLE_BYTES = 16 * 1024

const MARK = '~'

export function bundleName(base: string, size: number): string {
  return base + MARK + size.toString(36)
}

export function memberId(name: string, place: number): string {
  return name + place.toString(36)
}

/** How many tasks a name stands for; 1 for a task's own id. */
export function sizeOf(name: string): number {
  return name.charAt(name.length - 2) === MARK ? Number.parseInt(name.slice(-1), 36) : 1
}

/** Whether both tasks came in the same bundle. */
export function inSameBundle(id: string, other: string): boolean {
  return id.charAt(id.length - 3) === MARK && id.length === other.length && other.startsWith(id.slice(0, -1))
}

/**
 * How many of the tasks from `at` on are all tasks of one bundle, in their order; 1 if there is no such bundle. `idAt` gives
 * the id of each, undefined after the last.
 */
export function wholeBundleAt(at: number, idAt: (index: number) => string | undefined): number {
  const first = idAt(at)
  if (first === undefined || first.charAt(first.length - 3) !== MARK || !first.endsWith('0')) return 1
  const name = first.slice(0, -1)
  const size = sizeOf(name)
  for (let place = 1; place < size; place++) if (idAt(at + place) !== memberId(name, place)) return 1
  return size
}

/** The same tasks by fewer names: of bundles that are here as a whole, that of the bundle. */
export function fold(ids: readonly string[]): string[] {
  const names: string[] = []
  for (let at = 0; at < ids.length; ) {
    const id = ids[at] as string
    const size = wholeBundleAt(at, (index) => ids[index])
    names.push(size > 1 ? id.slice(0, -1) : id)
    at += size
  }
  return names
}
