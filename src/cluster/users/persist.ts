import type { NodeLink } from '../link.js'
import { rewriteConfig } from '../owed/files.js'
import { settingOf } from '../settings-read.js'

/** `aclfile`: by ACL SAVE; `config`: in its redis.conf, by CONFIG REWRITE. */
export type Persisted = 'aclfile' | 'config'

/** A server that was started without a file of its configuration: it keeps no users at all, of whatever password. */
export class NoConfigFile extends Error {}

export const isWithoutConfigFile = (message: string) => /without a config file/.test(message)

/**
 * Has a node keep its users over a restart.
 * @param settings whether settings were changed too, which an aclfile does not hold
 * @throws where it cannot: NoConfigFile; a folder that may not be written
 */
export async function persist(link: NodeLink, settings: boolean): Promise<Persisted> {
  const file = await settingOf(link, 'aclfile')
  try {
    if (file !== '') await link.text('ACL', 'SAVE')
    if (file === '' || settings) await rewriteConfig(link)
  } catch (cause) {
    const problem = (cause as Error).message
    const text = `the users are there, and a restart would lose them: ${problem}`
    throw isWithoutConfigFile(problem) ? new NoConfigFile(text, { cause }) : new Error(text, { cause })
  }
  return file === '' ? 'config' : 'aclfile'
}
