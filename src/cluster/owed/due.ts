import type { WitnessSilentError } from '../errors.js'
import type { Address, LinkOptions, NodeLink } from '../link.js'
import { parseFields } from '../replies.js'
import { settingOf } from '../settings-read.js'
import { categoriesOf } from '../users/nodes.js'
import { keyOfUser, wordsOf } from '../users/stored.js'
import { isSameVersion, versionOf } from '../version.js'
import { unknownText } from './changed.js'
import { withoutHashes } from './note-of.js'
import type { Lent, Owed, Restarted } from './notes.js'
import { type Found, Others } from './others.js'
import { type Lost, lostBy, namesOf, type Told, toldSince } from './told.js'

/** What a node is to be told, so that it is as it was. */
export interface Due extends Lost {
  /**
   * What is not as it was and is not told: nobody can know whether it was told at run time, no other node has the same, somebody has told this
   * process other things since, or the server refuses it. `slowlog-max-len 77 (now 128)`, `requirepass`, `user reporter`
   */
  readonly unknown: readonly string[]
}

/** The same, when it was looked for. */
export interface DueNow extends Due {
  /** What nobody can say, since not all nodes were seen that may have the same; null: nothing. Its note is to stay. */
  readonly notSeen: WitnessSilentError | null
}

export const isNothing = ({ settings, users, unknown }: Due) =>
  settings.size + users.length + unknown.length === 0

/** `slowlog-max-len`, `user reporter`. Never a value of what is told, since some are secret. */
export const namesIn = (due: Due) => ({ told: namesOf(due), unknown: due.unknown })

/**
 * What of a note is still to be given back to its node.
 * @param others all other nodes, also such as do not answer
 */
export function dueOf(
  owed: Owed,
  link: NodeLink,
  others: readonly Address[],
  access: LinkOptions,
): Promise<DueNow> {
  return owed.kind === 'lent' ? dueOfLent(owed, link) : dueOfRestarted(owed, link, others, access)
}

async function dueOfLent({ settings }: Lent, link: NodeLink): Promise<DueNow> {
  const due = new Map<string, string>()
  for (const [name, { was, lent }] of Object.entries(settings))
    if ((await settingOf(link, name)) === lent) due.set(name, was)
  return { settings: due, users: [], unknown: [], notSeen: null }
}

/**
 * Whoever may write a key may write a note, and would have the rights of whoever runs the next operation. So it is only a hint: no more is told
 * than another node says too.
 */
async function dueOfRestarted(
  owed: Restarted,
  link: NodeLink,
  nodes: readonly Address[],
  access: LinkOptions,
): Promise<DueNow> {
  const info = parseFields(await link.text('INFO', 'everything'))
  if (info.get('run_id') === owed.run) return { settings: new Map(), users: [], unknown: [], notSeen: null }
  const before = await toldIn(owed, link)
  const now = await toldSince(before, link)
  const lost = lostBy(before, hidden(now), upgradeOf(owed, info))
  // What was told for sure; else, or where the files are others by now, it may be what the operator has written there.
  const isTold = owed.files !== null && owed.files === now.files?.mark
  // Whoever has told the process something since it was started knows how it is to be: what we know is older.
  const areSettingsOld = now.calls.settings
  const areUsersOld = now.calls.users || now.calls.loaded
  const others = new Others(nodes, access)
  const settings = new Map<string, string>()
  const users: string[] = []
  const unknown: string[] = []
  for (const [name, value] of lost.settings) {
    const said =
      isTold && !areSettingsOld
        ? await others.find(name, async (other) => ((await settingOf(other, name)) === value ? 'yes' : ''))
        : NOT_ASKED
    if (said.is === 'found') settings.set(name, value)
    if (said.is === 'none')
      unknown.push(...unknownText({ settings: new Map([[name, value]]), users: [] }, now.config))
  }
  for (const name of owed.secrets.filter((each) => now.config?.get(each) === '')) {
    const said =
      isTold && !areSettingsOld ? await others.find(name, (other) => settingOf(other, name)) : NOT_ASKED
    if (said.is === 'found') settings.set(name, said.value)
    if (said.is === 'none') unknown.push(name)
  }
  for (const line of lost.users) {
    const name = `user ${wordsOf(line)[1]}`
    const said =
      isTold && !areUsersOld ? await others.find(name, (other) => sameUser(line, other)) : NOT_ASKED
    if (said.is === 'found') users.push(said.value)
    if (said.is === 'none') unknown.push(name)
  }
  return { settings, users, unknown, notSeen: others.fault }
}

/** Nobody can know that it is to be so, whoever has the same. */
const NOT_ASKED: Found = { is: 'none' }

/** The same rules may be told in another order by each process, and with categories in place of commands. */
const toldIn = async ({ settings, users }: Restarted, link: NodeLink) => ({
  config: new Map(Object.entries(settings)),
  users,
  categories: await categoriesOf(link, users),
})

const hidden = (told: Told): Told => ({ ...told, users: told.users?.map(withoutHashes) ?? null })

function upgradeOf(owed: Restarted, info: ReadonlyMap<string, string>) {
  if (owed.server === null || isSameVersion(owed.server, versionOf(info))) return null
  const { byDefault, settings } = owed
  return { defaults: byDefault && new Map(byDefault.map((name) => [name, settings[name] ?? ''])) }
}

/** The line of a user that has the same rules there, with what it is let in by. */
async function sameUser(line: string, other: NodeLink): Promise<string> {
  const lines = (await other.reply('ACL', 'LIST')) as string[]
  const categories = await categoriesOf(other, [...lines, line])
  const keyOf = (each: string) => keyOfUser(withoutHashes(each), categories)
  return lines.find((each) => keyOf(each) === keyOf(line)) ?? ''
}
