import type { NodeLink } from './link.js'
import { isForbidden } from './replies.js'

/** One setting of a server; '' where it has none of that name. @throws what the server says where CONFIG is not allowed */
export async function settingOf(link: NodeLink, name: string): Promise<string> {
  const [, value = ''] = (await link.reply('CONFIG', 'GET', name)) as string[]
  return value
}

/** CONFIG GET *; undefined where there is none, as on hosted servers, or a user with few rights may not use it. */
export async function settingsOf(link: NodeLink): Promise<ReadonlyMap<string, string> | undefined> {
  try {
    const pairs = (await link.reply('CONFIG', 'GET', '*')) as string[]
    const settings = new Map<string, string>()
    for (let i = 0; i + 1 < pairs.length; i += 2) settings.set(pairs[i] as string, pairs[i + 1] as string)
    return settings
  } catch (error) {
    if (isForbidden(error as Error)) return undefined
    throw error
  }
}
