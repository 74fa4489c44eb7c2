const READS = new Set([
  ...[
    'AUTH',
    'BITCOUNT',
    'DBSIZE',
    'DUMP',
    'ECHO',
    'EVAL_RO',
    'EXISTS',
    'GET',
    'HGETALL',
    'HLEN',
    'HSCAN',
    'INFO',
    'LLEN',
  ],
  ...[
    'LRANGE',
    'MGET',
    'PEXPIRETIME',
    'PING',
    'PTTL',
    'ROLE',
    'SCAN',
    'SCARD',
    'SMEMBERS',
    'SSCAN',
    'STRLEN',
    'TIME',
    'TTL',
  ],
  ...[
    'TYPE',
    'WAIT',
    'XINFO',
    'XLEN',
    'XRANGE',
    'ZCARD',
    'ZRANGE',
    'ZSCAN',
    'HPEXPIRETIME',
    'HPTTL',
    'GETRANGE',
    'OBJECT',
  ],
])
const READS_OF: Readonly<Record<string, readonly string[]>> = {
  ACL: ['LIST', 'WHOAMI', 'GETUSER', 'DRYRUN', 'CAT', 'USERS'],
  CLIENT: ['LIST', 'INFO', 'ID', 'GETNAME'],
  CLUSTER: [
    'NODES',
    'INFO',
    'SLOTS',
    'SHARDS',
    'MYID',
    'COUNTKEYSINSLOT',
    'GETKEYSINSLOT',
    'COUNT-FAILURE-REPORTS',
    'LINKS',
  ],
  COMMAND: ['INFO', 'COUNT', 'LIST', 'DOCS'],
  CONFIG: ['GET'],
  FUNCTION: ['LIST', 'DUMP', 'STATS'],
  MEMORY: ['USAGE', 'STATS'],
  MODULE: ['LIST'],
}

/** Whether a call may change something on a server. What is not known to read does, as every EVAL. */
function isWrite(command: string, [first]: readonly unknown[]): boolean {
  const name = command.toUpperCase()
  const reads = READS_OF[name]
  if (reads !== undefined) return !reads.includes(String(first).toUpperCase())
  return !READS.has(name)
}

const WORDS_OF: Readonly<Record<string, number>> = { ACL: 1, CLIENT: 1, CLUSTER: 1, CONFIG: 1, FUNCTION: 1 }
const SETSLOT_STATES = ['IMPORTING', 'MIGRATING', 'NODE', 'STABLE']

/** What makes two calls the same but for slots, keys and nodes: `CLUSTER SETSLOT NODE`; of a script, its text. */
export function kindOf(command: string, args: readonly unknown[]): string {
  const name = command.toUpperCase()
  const words = args.slice(0, WORDS_OF[name] ?? 0).map(String)
  if (words[0] === 'SETSLOT') words.push(...args.map(String).filter((each) => SETSLOT_STATES.includes(each)))
  if (/^EVAL/.test(name)) words.push(String(args[0]).replaceAll(/\s+/g, ' '))
  return `${isWrite(command, args) ? WRITE : ''}${[name, ...words].join(' ')}`
}

const WRITE = '* '
export const changesSomething = (kind: string) => kind.startsWith(WRITE)

/** Of a kind that is called often: so many of the first and of the last, and so many between. */
const EDGE = 3
const BETWEEN = 10

/**
 * The calls, counted from 1, that stand for all: a loop over thousands of slots calls the same thousands of times.
 * @param writesOnly calls that change something alone: before one that only reads, all is as before the next that writes
 */
export function pointsOf(kinds: readonly string[], writesOnly: boolean): number[] {
  const calls = new Map<string, number[]>()
  for (const [i, kind] of kinds.entries()) if (!writesOnly || changesSomething(kind)) push(calls, kind, i + 1)
  return [...calls.values()].flatMap(standFor).sort((a, b) => a - b)
}

function push(calls: Map<string, number[]>, kind: string, call: number): void {
  const known = calls.get(kind)
  if (known) known.push(call)
  else calls.set(kind, [call])
}

function standFor(calls: readonly number[]): number[] {
  const every = Math.ceil(calls.length / BETWEEN)
  return calls.filter((_, i) => i < EDGE || i >= calls.length - EDGE || i % every === 0)
}
