/** Who made a server, and which one it is. */
export interface ServerVersion {
  readonly flavour: 'Redis' | 'Valkey'
  /** `7.0.15` */
  readonly version: string
}

const OLDEST = { Redis: [7, 0], Valkey: [8, 0] } as const

/** By what INFO says; Valkey also gives the version of the Redis that it was. */
export function versionOf(info: ReadonlyMap<string, string>): ServerVersion {
  const valkey = info.get('valkey_version')
  return valkey === undefined
    ? { flavour: 'Redis', version: info.get('redis_version') ?? '0' }
    : { flavour: 'Valkey', version: valkey }
}

/** Redis >= 7.0 or Valkey >= 8.0. */
export function isNewEnough({ flavour, version }: ServerVersion): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const [oldestMajor, oldestMinor] = OLDEST[flavour]
  return major > oldestMajor || (major === oldestMajor && minor >= oldestMinor)
}

/** Why it cannot be one of a cluster of ours, to be said of it; null: it can. */
export const tooOld = (server: ServerVersion) =>
  isNewEnough(server)
    ? null
    : `runs ${server.flavour} ${server.version}; it takes Redis >= 7.0 or Valkey >= 8.0`

export const isSameVersion = (a: ServerVersion | null, b: ServerVersion) =>
  a?.flavour === b.flavour && a.version === b.version
