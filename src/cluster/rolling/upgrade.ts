import type { ServerVersion } from '../version.js'

/**
 * Why the one server cannot carry on with what the other has written; null: it can. By the version of the format in which they
 * save and send their data (RDB): Redis 7.0 writes 10, 7.2 and Valkey 8 write 11, Redis 7.4 writes 12, which Valkey does not read.
 */
export function cannotFollow(from: ServerVersion, to: ServerVersion): string | null {
  const change = `from ${from.flavour} ${from.version} to ${to.flavour} ${to.version}`
  if (from.flavour === to.flavour)
    return compare(to.version, from.version) < 0
      ? `${change} is a downgrade: the older one may not be able to read the data of the newer one`
      : null
  if (from.flavour === 'Valkey') return `${change}: Redis cannot be relied on to read what Valkey has written`
  return compare(from.version, '7.3') >= 0
    ? `${change}: Valkey reads the data of Redis up to 7.2 alone; take a backup and restore it instead`
    : null
}

/** The older first; Redis before Valkey, since that is the way an upgrade goes. */
export const byAge = (a: ServerVersion, b: ServerVersion) =>
  a.flavour === b.flavour ? compare(a.version, b.version) : a.flavour === 'Redis' ? -1 : 1

const compare = (a: string, b: string) => a.localeCompare(b, 'en', { numeric: true })
