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

/** What a task came in. Tasks of one bundle share one such object, so that it takes no comparing of names to tell. */
export interface Bundle {
  readonly name: string
  readonly size: number
}

/** A task by its id and, if it came in one, by its bundle and its place in it. */
export interface Named {
  readonly id: string
  readonly bundle: Bundle | undefined
  readonly place: number
}

const ZERO = '0'.charCodeAt(0)
const TEN = 'a'.charCodeAt(0) - 10

/** How many tasks a name stands for; 1 for a task's own id. */
export function sizeOf(name: string): number {
  if (name.charAt(name.length - 2) !== MARK) return 1
  const digit = name.charCodeAt(name.length - 1)
  return digit < TEN ? digit - ZERO : digit - TEN
}

/** Name of the bundle that a task came in; undefined for one that came alone. */
export function bundleOf(id: string): string | undefined {
  return id.charAt(id.length - 3) === MARK ? id.slice(0, -1) : undefined
}

/** The tasks that a name stands for. */
export function membersOf(name: string): Named[] {
  const size = sizeOf(name)
  if (size === 1) return [{ id: name, bundle: undefined, place: 0 }]
  const bundle = { name, size }
  return Array.from({ length: size }, (_, place) => ({ id: memberId(name, place), bundle, place }))
}

/** How many of the tasks from `at` on are all tasks of one bundle, in their order; 1 if there is no such bundle. */
export function wholeBundleAt(tasks: readonly Named[], at: number): number {
  const bundle = tasks[at]?.bundle
  if (!bundle) return 1
  for (let place = 0; place < bundle.size; place++) {
    const task = tasks[at + place]
    if (task?.bundle !== bundle || task.place !== place) return 1
  }
  return bundle.size
}

/** Fewer names for the same tasks: of bundles that are here as a whole, that of the bundle. */
export function fold(tasks: readonly Named[]): string[] {
  const names: string[] = []
  for (let at = 0; at < tasks.length; ) {
    const { id, bundle } = tasks[at] as Named
    const size = wholeBundleAt(tasks, at)
    names.push(size > 1 && bundle ? bundle.name : id)
    at += size
  }
  return names
}
