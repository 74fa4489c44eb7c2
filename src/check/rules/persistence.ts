import { alike, type Check, each } from '../check.js'
import { onEachHost, setting, toEach } from '../commands.js'

/** Less than this of a disk, and less than this many bytes, is little. */
const DISK_SHARE = 0.05
const DISK_BYTES = 2 * 1_073_741_824

/** Whether data outlives the process. */
export const PERSISTENCE = {
  'aof-failing': {
    severity: 'error',
    about: 'the append-only file cannot be written',
    why: 'The node refuses every write (MISCONF) until it can. Mostly the disk is full, or the folder’s owner is wrong.',
    mend: (nodes) => [...onEachHost('df -h')(nodes), ...toEach('BGREWRITEAOF')(nodes)],
    find: ({ live }) =>
      each(live, ({ info }) => {
        const failing = ['aof_last_write_status', 'aof_last_bgrewrite_status'].filter(
          (field) => info.get('aof_enabled') === '1' && info.get(field) === 'err',
        )
        return failing.length > 0 && `says ${failing.map((field) => `${field}:err`).join(', ')}`
      }),
  },
  'rdb-failing': {
    severity: 'error',
    about: 'the last snapshot (BGSAVE) failed',
    why: 'With stop-writes-on-bgsave-error yes the node refuses every write (MISCONF); with no, nothing new is saved. Mostly the disk is full, the folder cannot be written, or memory does not suffice to fork.',
    mend: (nodes) => [...onEachHost('df -h')(nodes), ...toEach('BGSAVE')(nodes)],
    find: ({ live }) =>
      each(live, ({ info, config }) => {
        if (info.get('rdb_last_bgsave_status') !== 'err') return undefined
        const stops = config?.get('stop-writes-on-bgsave-error') === 'yes' && config.get('save') !== ''
        return `could not save to ${config?.get('dir') ?? 'its folder'}${stops ? '; writes are refused until it can' : ''}`
      }),
  },
  'persistence-off': {
    severity: 'warning',
    about: 'neither append-only file nor snapshots',
    why: 'A node that is restarted comes back empty, and if it is a master, its replicas empty themselves after it.',
    mend: setting('appendonly', 'yes'),
    find: ({ live }) =>
      alike(
        live,
        ({ info, config }) =>
          config &&
          info.get('aof_enabled') === '0' &&
          config.get('save') === '' &&
          'appendonly no, and no save points',
      ),
  },
  'disk-low': {
    severity: 'warning',
    about: 'the disk of a node on this machine is almost full',
    why: 'A node that cannot write refuses all writes (MISCONF). A rewrite needs room for a second copy.',
    mend: onEachHost('df -h'),
    find: ({ live, probed }) =>
      each(live, ({ name }) => {
        const disk = probed.host?.nodes.get(name)?.disk
        if (!disk || disk.freeBytes >= Math.min(DISK_BYTES, disk.bytes * DISK_SHARE)) return undefined
        return `has ${Math.floor(disk.freeBytes / 1_048_576)} MB left of ${Math.floor(disk.bytes / 1_048_576)} in ${disk.dir}`
      }),
  },
} satisfies Record<string, Check>
