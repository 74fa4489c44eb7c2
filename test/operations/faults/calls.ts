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
export function isWrite(command: string, [first]: readonly unknown[]): boolean {
  const name = command.toUpperCase()
  const reads = READS_OF[name]
  if (reads !== undefined) return !reads.includes(String(first).toUpperCase())
  return !READS.has(name)
}
