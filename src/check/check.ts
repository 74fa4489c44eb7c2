import type { Scene } from './scene.js'

/**
 * - `error`: something does not work, or data is at stake now
 * - `warning`: it works, and will not when the next thing happens
 */
export type Severity = 'error' | 'warning'

/** A node as the commands that mend it name it. */
export interface Place {
  readonly host: string
  readonly port: number | string
  readonly busPort: number | string
  /** Whether it is a node of a cluster, so that one command can reach all of them. */
  readonly cluster: boolean
  /** Whether its port speaks TLS. */
  readonly tls: boolean
  /** The command that starts its server again. */
  readonly start: string
  /** The command that lets its process run on, if it only stands still. */
  readonly resume: string
}

/** One thing that a check has seen. */
export interface Sighting {
  /** `host:port`, in order; may be empty where it concerns no node. */
  readonly nodes: readonly string[]
  /** What was seen, with the figures. */
  readonly seen: string
  /** Where it takes other commands than the check's own. */
  readonly mend?: readonly string[]
}

/** Something that can be wrong: how it shows, why it matters, what mends it. */
export interface Check {
  readonly severity: Severity
  /** What is seen where it finds something, in words. */
  readonly about: string
  readonly why: string
  /** Commands to type. They exist, and none of them is run by us. */
  readonly mend: (nodes: readonly Place[]) => readonly string[]
  readonly find: (scene: Scene) => readonly Sighting[]
}

/** What a check has found, with all that one needs to act on it. */
export interface Finding {
  readonly check: string
  readonly severity: Severity
  readonly nodes: readonly string[]
  readonly seen: string
  readonly why: string
  readonly mend: readonly string[]
}

/** A sighting for each node of which `tell` has something to tell. */
export function each<T extends { readonly name: string }>(
  nodes: readonly T[],
  tell: (node: T) => string | undefined | false,
): Sighting[] {
  return nodes.flatMap((node) => {
    const seen = tell(node)
    return seen ? [{ nodes: [node.name], seen: `${node.name} ${seen}` }] : []
  })
}

/** One sighting for all nodes of which `tell` has the same to tell. */
export function alike<T extends { readonly name: string }>(
  nodes: readonly T[],
  tell: (node: T) => string | undefined | false,
): Sighting[] {
  return [...groupBy(nodes, tell)].flatMap(([text, group]) => {
    const names = group.map(({ name }) => name)
    const who = names.length > 2 && names.length === nodes.length ? `all ${names.length}` : listed(names)
    return text ? [{ nodes: names, seen: `${who}: ${text}` }] : []
  })
}

/** Map.groupBy, which Node 20 has not got. */
export function groupBy<T, K>(items: readonly T[], keyOf: (item: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>()
  for (const item of items) {
    const key = keyOf(item)
    const group = groups.get(key)
    if (group) group.push(item)
    else groups.set(key, [item])
  }
  return groups
}

/** `a, b and c`; of more than six, the first five and how many more. */
export function listed(names: readonly string[]): string {
  const shown = names.length > 6 ? [...names.slice(0, 5), `${names.length - 5} more`] : names
  const last = shown.at(-1) ?? ''
  return shown.length < 2 ? last : `${shown.slice(0, -1).join(', ')} and ${last}`
}

export const plural = (count: number, word: string) => `${count} ${word}${count === 1 ? '' : 's'}`
