/**
 * A shard whose replica is away confirms nothing, and tasks that belong to it wait. So a replica is away for as short as can be: what
 * takes time is done before it is stopped, and what would make it wait for its master afterwards is kept away.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Address, LinkOptions } from '../link.js'
import { withLink } from '../link.js'
import { parseFields } from '../replies.js'

const POLL_MS = 20
/** A log that is longer than this beyond its base is rewritten first: some 20,000 writes, which take 0.1 s to read again. */
const LONG_LOG_BYTES = 1024 * 1024
/** Longest wait for what is being saved. After that the restart has to do without. */
const QUIET_MS = 120_000
/** A replica that follows acknowledges several times in so long, wherever there is anything to acknowledge. */
const STUCK_MS = 40
const RELINK_MS = 2_000

type Fields = ReadonlyMap<string, string>

const infoOf = async (node: Address, access: LinkOptions): Promise<Fields> =>
  parseFields(await withLink(node, access, (link) => link.text('INFO', 'everything')))

/**
 * Before a replica is stopped. Its log is made short, so that it is soon read: at 5,000 tasks a second, what ten seconds have added
 * takes longer to read than all else that a restart does. The price is one more save. And what its master is saving is waited for:
 * until that is done, it would not send its data.
 */
export async function prepareAbsence(
  replica: Address,
  master: Address,
  access: LinkOptions,
  signal: AbortSignal | undefined,
): Promise<void> {
  const info = await infoOf(replica, access)
  const added = Number(info.get('aof_current_size') ?? 0) - Number(info.get('aof_base_size') ?? 0)
  if (added > LONG_LOG_BYTES) {
    // Refused while it is saving anyway, which is as good.
    await withLink(replica, access, (link) => link.text('BGREWRITEAOF')).catch(() => {})
    await untilQuiet(replica, access, signal)
  }
  await untilQuiet(master, access, signal)
}

async function untilQuiet(
  node: Address,
  access: LinkOptions,
  signal: AbortSignal | undefined,
): Promise<void> {
  const deadline = performance.now() + QUIET_MS
  while (performance.now() < deadline && !signal?.aborted) {
    const info = await infoOf(node, access)
    const busy = ['rdb_bgsave_in_progress', 'aof_rewrite_in_progress', 'aof_rewrite_scheduled'].some(
      (field) => info.get(field) === '1',
    )
    if (!busy) return
    await sleep(POLL_MS)
  }
}

/**
 * When a replica is back. It tells its master once that it has all, and then every second; a master that has not yet noticed that its
 * own part is done does not hear the first word, and keeps everything back until the second. Such a link is cut from the side of the
 * replica, which then goes on where it was at once. Not where the master keeps too little for that.
 */
export async function hastenLink(replica: Address, master: Address, access: LinkOptions): Promise<void> {
  const deadline = performance.now() + RELINK_MS
  while (performance.now() < deadline) {
    const before = await standingAt(replica, master, access)
    if (before.linked) {
      await sleep(STUCK_MS)
      const after = await standingAt(replica, master, access)
      const stuck = after.linked && after.heard === before.heard && after.heard < before.sent
      if (!stuck) return
      if (after.sent - after.heard < after.kept / 2) {
        await withLink(replica, access, (link) => link.text('CLIENT', 'KILL', 'TYPE', 'master'))
        return
      }
    }
    await sleep(POLL_MS)
  }
}

/** Offsets in the master's log, in bytes: what it has sent, what it has heard that the replica has, and what it keeps. */
async function standingAt(replica: Address, master: Address, access: LinkOptions) {
  const [own, its] = await Promise.all([infoOf(replica, access), infoOf(master, access)])
  const name = `ip=${replica.host},port=${replica.port},`
  const line = [...its].find(([field, value]) => /^slave\d+$/.test(field) && value.startsWith(name))?.[1]
  return {
    linked: own.get('master_link_status') === 'up' && line !== undefined && line.includes('state=online'),
    heard: Number(/offset=(\d+)/.exec(line ?? '')?.[1] ?? 0),
    sent: Number(its.get('master_repl_offset') ?? 0),
    kept: Number(its.get('repl_backlog_histlen') ?? 0),
  }
}
