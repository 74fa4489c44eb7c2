import type { NodeLink } from '../link.js'
import { settingOf } from '../settings-read.js'

/** `aclfile`: by ACL SAVE; `config`: in its redis.conf, by CONFIG REWRITE. */
export type Persisted = 'aclfile' | 'config'

/**
 * Has a node keep its users over a restart.
 * @param settings whether settings were changed too, which an aclfile does not hold
 * @throws where it cannot: a server without a configuration file, a folder that may not be written
 */
export async function persist(link: NodeLink, settings: boolean): Promise<Persisted> {
  const file = await settingOf(link, 'aclfile')
  try {
    if (file !== '') await link.text('ACL', 'SAVE')
    if (file === '' || settings) await link.text('CONFIG', 'REWRITE')
  } catch (cause) {
    const problem = (cause as Error).message
    throw new Error(`the users are there, and a restart would lose them: ${problem}`, { cause })
  }
  return file === '' ? 'config' : 'aclfile'
}
