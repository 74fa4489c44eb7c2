import { AuthenticationError } from '../../errors.js'
import { BackupRefusedError } from '../errors.js'
import { type LinkOptions, withLink } from '../link.js'
import { redisCli } from '../redis-cli.js'
import { isForbidden, parseFields } from '../replies.js'
import { settingOf } from '../settings-read.js'
import type { Owner, Standing } from './standing.js'

/** Of INFO: `err` where the last save to the server's own disk failed. With `save` points set, the server then refuses every write. */
const SAVED = 'rdb_last_bgsave_status'
const SETTING = 'repl-diskless-sync'

/**
 * Whether every owner sends its snapshot over the connection. With `repl-diskless-sync no` it saves to its own disk first, and a save that
 * fails there makes it refuse every write: not to be brought upon a cluster by a look at it, nor is the setting ours to change.
 * @returns what is not known; or why it has to be begun anew: an owner gave no answer
 * @throws BackupRefusedError with what to type; AuthenticationError
 */
export async function mustSendWithoutDisk(
  { owners }: Standing,
  access: LinkOptions,
): Promise<{ readonly warnings: readonly string[] } | { readonly why: string }> {
  const settings = await Promise.all(
    owners.map(async (owner) => ({ owner, value: await settingAt(owner, access) })),
  )
  const saving = settings.flatMap(({ owner, value }) => (value === 'no' ? [owner] : []))
  if (saving.length > 0) {
    const names = saving.map(({ name }) => name).join(', ')
    const commands = saving.map(({ address }) => redisCli(address, access, `CONFIG SET ${SETTING} yes`))
    throw new BackupRefusedError(
      [
        `${names} would save to its own disk first (${SETTING} no), and where that fails a master refuses every write`,
      ],
      { wayOut: `this takes effect at once, without a restart, and then again: ${commands.join('; ')}` },
    )
  }
  for (const { owner, value } of settings)
    if (value instanceof Error) return { why: `${owner.name} did not tell its settings: ${value.message}` }
  const hidden = settings.flatMap(({ owner, value }) => (value === null ? [owner.name] : []))
  if (hidden.length === 0) return { warnings: [] }
  return {
    warnings: [
      `not allowed to ask ${hidden.join(', ')} for ${SETTING} (CONFIG GET): where it is no, each snapshot is saved to the node's own disk first`,
    ],
  }
}

/** Null where we are not allowed to ask. */
async function settingAt({ address }: Owner, access: LinkOptions): Promise<string | null | Error> {
  try {
    return await withLink(address, access, (link) => settingOf(link, SETTING))
  } catch (error) {
    if (isForbidden(error as Error)) return null
    if (error instanceof AuthenticationError) throw error
    return error as Error
  }
}

export const lastSaveOf = (info: ReadonlyMap<string, string>) => info.get(SAVED) ?? ''

/**
 * After a snapshot that failed: whether an owner could save to its own disk when it was looked at before, and cannot now.
 * @param why what the snapshot failed with
 * @throws BackupRefusedError: another try would do the same once more
 */
export async function mustSaveStill({ owners }: Standing, access: LinkOptions, why: string): Promise<void> {
  const failed = await Promise.all(
    owners.filter(({ lastSave }) => lastSave === 'ok').map((owner) => hasFailed(owner, access)),
  )
  const hurt = failed.flatMap((owner) => owner ?? [])
  if (hurt.length === 0) return
  const typed = (command: string) => hurt.map(({ address }) => redisCli(address, access, command)).join('; ')
  throw new BackupRefusedError(
    [
      why,
      `${hurt.map(({ name }) => name).join(', ')} has failed to save to its own disk since (${SAVED} err), and refuses every write where ` +
        '`save` is set',
    ],
    {
      wayOut:
        `make room on that disk, then: ${typed('BGSAVE')}; or, to have writes at once: ` +
        `${typed('CONFIG SET stop-writes-on-bgsave-error no')}; before another backup: ${typed(`CONFIG SET ${SETTING} yes`)}`,
    },
  )
}

async function hasFailed(owner: Owner, access: LinkOptions): Promise<Owner | null> {
  const info = await withLink(owner.address, access, (link) => link.text('INFO', 'persistence')).catch(
    // One that is gone may have been what the snapshot failed with; the next look at all nodes names it.
    () => null,
  )
  return info !== null && lastSaveOf(parseFields(info)) === 'err' ? owner : null
}
