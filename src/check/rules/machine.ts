import { alike, type Check, each, type Sighting } from '../check.js'
import { onEachHost, toEach, type } from '../commands.js'
import { numberOf, type Scene } from '../scene.js'

/** Leases, delays and time-outs are counted in seconds; less than one of them is no matter. */
const CLOCK_MS = 1_000
const JUMP_S = 5

/** The machines under the servers; what only the system tells, for nodes on this machine. */
export const MACHINE = {
  'clock-differs': {
    severity: 'warning',
    about: `clocks of nodes, or of this machine, are more than ${CLOCK_MS / 1000} s apart`,
    why: 'Leases and delays go by the master’s clock, and after a failover by the new one’s: leases end early or late, delayed tasks come too soon or too late.',
    mend: onEachHost('sudo timedatectl set-ntp true'),
    find: clocksDiffer,
  },
  'clock-jumped': {
    severity: 'warning',
    about: `the clock of this machine was set by more than ${JUMP_S} s while a node ran`,
    why: 'Leases, delays and keys with a time to live ran out all at once, or will be late by as much.',
    mend: onEachHost('sudo timedatectl set-ntp true'),
    find: ({ live, probed }) =>
      alike(live, ({ name }) => {
        const jumpS = probed.host?.nodes.get(name)?.clockJumpS ?? 0
        const way = jumpS > 0 ? 'forwards' : 'backwards'
        return Math.abs(jumpS) > JUMP_S && `the clock went ${way} by about ${Math.round(Math.abs(jumpS))} s`
      }),
  },
  overcommit: {
    severity: 'warning',
    about: '`vm.overcommit_memory` is not 1 on this machine, and a node may grow so large that it matters',
    why: 'To save or to sync a replica the server forks, and the kernel may refuse it as if the memory were needed twice.',
    mend: type('sudo sysctl vm.overcommit_memory=1'),
    find: overcommit,
  },
  'transparent-huge-pages': {
    severity: 'warning',
    about: 'transparent huge pages are always on on this machine, and the server does not opt out of them',
    why: 'After a fork every small write copies 2 MB: latency and memory go up while a snapshot is made.',
    mend: type('echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled'),
    find: ({ live, probed }) =>
      alike(live, ({ name, config }) => {
        if (probed.host?.hugePages !== 'always' || !probed.host.nodes.has(name)) return undefined
        return (
          config?.get('disable-thp') !== 'yes' &&
          'transparent huge pages [always], and disable-thp is not yes'
        )
      }),
  },
  'node-swapping': {
    severity: 'warning',
    about: 'a node holds much less in memory than it has allocated: it is swapped out',
    why: 'A server that waits for its own memory looks frozen, and is replaced for it.',
    mend: toEach('INFO memory'),
    find: ({ live }) =>
      each(live, (node) => {
        const [used, resident] = [numberOf(node, 'used_memory'), numberOf(node, 'used_memory_rss')]
        // Small servers share much of what they have, and pages never touched are not resident either.
        const large = used > 128 * 1_048_576
        return (
          large &&
          resident > 0 &&
          resident < used * 0.8 &&
          `has ${Math.round((resident / used) * 100)} % of its data in memory`
        )
      }),
  },
} satisfies Record<string, Check>

function clocksDiffer({ probed }: Scene): Sighting[] {
  const clocks = [...probed.clocks, ['this machine', { aheadMs: 0, giveOrTakeMs: 0 }] as const]
  const sorted = clocks.map(([, { aheadMs }]) => aheadMs).sort((a, b) => a - b)
  const median = sorted[Math.floor(sorted.length / 2)] ?? 0
  return clocks.flatMap(([name, { aheadMs, giveOrTakeMs }]): Sighting[] => {
    const apartMs = aheadMs - median
    if (Math.abs(apartMs) - giveOrTakeMs <= CLOCK_MS) return []
    const way = apartMs > 0 ? 'ahead of' : 'behind'
    return [
      {
        nodes: probed.clocks.has(name) ? [name] : [],
        seen: `the clock of ${name} is ${(Math.abs(apartMs) / 1000).toFixed(1)} s ${way} the others`,
      },
    ]
  })
}

/** 0 lets the kernel guess, which goes wrong only when one process has about half of the memory; 2 counts strictly. */
function overcommit({ live, probed: { host } }: Scene): Sighting[] {
  if (!host || host.overcommit === '1' || host.overcommit === '') return []
  const memory = host.memoryBytes
  return alike(
    live.filter(({ name }) => host.nodes.has(name)),
    (node) => {
      const limit = numberOf(node, 'maxmemory') || memory
      const matters = host.overcommit === '2' || limit * 2 > memory
      const most =
        numberOf(node, 'maxmemory') === 0 ? 'no maxmemory' : 'maxmemory more than half of the memory'
      return matters && `vm.overcommit_memory=${host.overcommit}, ${most}`
    },
  )
}
