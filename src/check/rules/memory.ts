import { megabytes } from '../../megabytes.js'
import { alike, type Check, each, plural } from '../check.js'
import { setting, toEach } from '../commands.js'
import { type Live, mastersOf, numberOf } from '../scene.js'

/** From here on there is little time left to act. */
const HIGH = 0.8
const CLIENTS_HIGH = 0.9

/** Whether there is room for what comes. */
export const MEMORY = {
  'maxmemory-reached': {
    severity: 'error',
    about: 'memory is used up to `maxmemory`',
    why: 'With noeviction, every write is refused (OOM); with any other policy, data is being deleted.',
    mend: (nodes) => [...toEach('MEMORY DOCTOR')(nodes), ...setting('maxmemory', 'BYTES')(nodes)],
    find: ({ live }) => each(live, (node) => usedShare(node) >= 1 && `uses ${used(node)}`),
  },
  'memory-high': {
    severity: 'warning',
    about: `more than ${HIGH * 100} % of \`maxmemory\` is used`,
    why: 'A full shard refuses tasks. Let workers catch up, or raise maxmemory or add a shard while there is room.',
    mend: (nodes) => setting('maxmemory', 'BYTES')(nodes),
    find: ({ live }) =>
      each(live, (node) => usedShare(node) >= HIGH && usedShare(node) < 1 && `uses ${used(node)}`),
  },
  'maxmemory-unset': {
    severity: 'warning',
    about: '`maxmemory` is 0: no limit',
    why: 'Without a limit it is the kernel that ends the process when memory runs out, rather than the server that refuses a write.',
    mend: (nodes) => setting('maxmemory', 'BYTES')(nodes),
    find: ({ live }) => alike(live, ({ info }) => info.get('maxmemory') === '0' && 'maxmemory 0, no limit'),
  },
  'eviction-policy': {
    severity: 'warning',
    about: '`maxmemory-policy` is another than noeviction',
    why: 'When memory is full, queued tasks are deleted without a word, or the leases and locks that have a time to live. A full shard has to refuse, and then tasks go elsewhere.',
    mend: setting('maxmemory-policy', 'noeviction'),
    find: (scene) => {
      const evicted = mastersOf(scene).reduce((sum, node) => sum + numberOf(node, 'evicted_keys'), 0)
      const already = evicted > 0 ? `; ${plural(evicted, 'key')} evicted since the start` : ''
      return alike(scene.live, ({ info }) => {
        const policy = info.get('maxmemory_policy') ?? 'noeviction'
        return policy !== 'noeviction' && `maxmemory-policy ${policy}${already}`
      })
    },
  },
  'clients-high': {
    severity: 'warning',
    about: `more than ${CLIENTS_HIGH * 100} % of \`maxclients\` are connected`,
    why: 'When they are all there, new ones are turned away, a replica after a break among them.',
    mend: setting('maxclients', '20000'),
    find: ({ live }) =>
      each(live, (node) => {
        const most = numberOf(node, 'maxclients')
        // The server counts its links to other nodes as well.
        const now = ['connected_clients', 'connected_slaves', 'cluster_connections']
          .map((field) => numberOf(node, field))
          .reduce((sum, count) => sum + count)
        return most > 0 && now > CLIENTS_HIGH * most && `has ${now} of ${most} connections`
      }),
  },
} satisfies Record<string, Check>

/** As the server counts it: without the buffers of its replicas and of the AOF. 0 without a limit. */
function usedShare(node: Live): number {
  const limit = numberOf(node, 'maxmemory')
  return limit === 0 ? 0 : countedBytes(node) / limit
}

const countedBytes = (node: Live) =>
  numberOf(node, 'used_memory') - numberOf(node, 'mem_not_counted_for_evict')

const used = (node: Live) =>
  `${megabytes(countedBytes(node))} of ${megabytes(numberOf(node, 'maxmemory'))} ` +
  `(${Math.floor(usedShare(node) * 100)} %), policy ${node.info.get('maxmemory_policy')}`
