import { shellWord } from '../../shell.js'
import { NodeRefusedError } from '../errors.js'
import { type Address, type LinkOptions, nameOf, withLink } from '../link.js'
import { rewriteConfig } from '../owed/files.js'
import { redisCli } from '../redis-cli.js'
import { settingsOf } from '../settings-read.js'
import { mustKeepFiles } from '../users/files.js'
import { isWithoutConfigFile } from '../users/persist.js'
import type { Candidate } from './newcomer.js'

/** Settings that should be the same on all nodes, since any of them may take the place of any other. */
const SHARED = [
  ...['maxmemory', 'maxmemory-policy', 'appendonly', 'appendfsync', 'save'],
  ...['cluster-node-timeout', 'cluster-require-full-coverage', 'cluster-allow-reads-when-down'],
  ...['cluster-allow-replica-migration', 'min-replicas-to-write', 'timeout', 'proto-max-bulk-len'],
] as const

export interface SettingsReport {
  /** What is not as on the others, with what to type. */
  readonly warnings: readonly string[]
  /** Names of what has to be set, or it could not follow a master. */
  readonly toSet: ReadonlyMap<string, string>
}

/**
 * Compares a new node's settings with those of one that is in the cluster.
 * @throws NodeRefusedError when one of them demands a password and the other does not
 */
export async function compareSettings(
  { name, address, config }: Candidate,
  member: Address,
  options: LinkOptions,
): Promise<SettingsReport> {
  const theirs = await withLink(member, options, settingsOf)
  const toSet = new Map<string, string>()
  if (!config || !theirs)
    return {
      warnings: [`${name}: its settings could not be compared, since CONFIG GET is not allowed`],
      toSet,
    }
  if (Boolean(config.get('requirepass')) !== Boolean(theirs.get('requirepass')))
    throw new NodeRefusedError(name, 'added', [
      config.get('requirepass')
        ? 'it demands a password, and the nodes of the cluster do not'
        : 'it demands no password, and the nodes of the cluster do; set the same requirepass and masterauth in its redis.conf',
    ])
  // A node without them follows no master, and nobody notices until one dies.
  for (const setting of ['masteruser', 'masterauth']) {
    const value = theirs.get(setting)
    if (value && value !== config.get(setting)) toSet.set(setting, value)
  }
  const warnings = SHARED.flatMap((setting) => {
    const [own, other] = [config.get(setting), theirs.get(setting)]
    if (own === undefined || other === undefined || own === other) return []
    const command = redisCli(address, options, `CONFIG SET ${setting} ${shellWord(other)}`)
    return [
      `${name} has ${setting} ${shellWord(own)}, the others ${shellWord(other)}; to make it the same: ${command}`,
    ]
  })
  return { warnings, toSet }
}

/**
 * Sets them, for good where the node has a redis.conf to write to.
 * @returns a warning where it has, and cannot
 * @throws FilesEditedError before anything was set
 */
export async function applySettings(
  address: Address,
  toSet: ReadonlyMap<string, string>,
  options: LinkOptions,
): Promise<readonly string[]> {
  const names = [...toSet.keys()]
  return withLink(address, options, async (link) => {
    await mustKeepFiles(link, 'add-node', names, true)
    for (const [setting, value] of toSet) await link.text('CONFIG', 'SET', setting, value)
    try {
      await rewriteConfig(link)
      return []
    } catch (error) {
      const { message } = error as Error
      // Nothing to rewrite, and whoever starts it so sets it by other means.
      if (isWithoutConfigFile(message)) return []
      return [`${nameOf(address)} has ${names.join(', ')} until its next restart, and no longer: ${message}`]
    }
  })
}
