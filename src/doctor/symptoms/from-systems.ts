import type { Symptom } from './symptom.js'

/** What the network, redis-cli and the server's log say. */
export const FROM_SYSTEMS = {
  'connection-refused': {
    pattern:
      /ECONNREFUSED|Connection refused|Could not connect|No connection could be made|actively refused/i,
    guide: 'Issue 2: "No connection could be made"',
    means: () => 'nothing listens on that port of that machine',
    why: 'The server has ended, or was never started, or listens on another port or address.',
    mend: ['shardq cluster status', 'shardq cluster up'],
    checks: ['nothing-listens', 'node-failed', 'announce-address'],
  },
  'file-rights': {
    pattern: /permission denied|EACCES/i,
    means: () => 'a program may not read or write a file or a folder',
    why: 'The server runs as another user than the one to whom its folder, its redis.conf or its log belongs; or a service manager or SELinux keeps it from there.',
    mend: ['ls -ld /var/lib/redis', 'sudo chown -R redis:redis /var/lib/redis', 'systemctl cat redis-server'],
    checks: ['rdb-failing', 'aof-failing'],
  },
  'election-refused': {
    pattern: /Failover auth denied/i,
    means: () =>
      'a replica asked for votes to become master, and this node gave it none; the reason stands behind the colon',
    why: '“its master is up”: this node still reaches the master, so that only the replica has lost it. “reqEpoch < curEpoch” and “can’t vote … before”: the election is over, or too soon after another one.',
    mend: ['shardq cluster check', 'redis-cli -h HOST -p PORT INFO replication'],
    checks: ['bus-port', 'replica-link-down', 'views-differ', 'node-failed'],
  },
  'data-file-broken': {
    pattern:
      /Short read or OOM loading DB|Unrecoverable error(?!: corrupted cluster)|Bad file format reading the append only file|Wrong signature trying to load DB|Can't handle RDB format version/i,
    means: () => 'a server cannot read the file with its data, and does not start on it',
    why: 'An RDB or AOF file ends too early or is damaged, as after a full disk or a copy that broke off, or was written by a newer server. Where its replica has the data, it is better taken from there: keep a copy of the folder first.',
    mend: [
      'redis-check-rdb /var/lib/redis/dump.rdb',
      'redis-check-aof /var/lib/redis/appendonlydir/appendonly.aof.manifest',
      'df -h',
    ],
    checks: ['disk-low', 'node-failed', 'nothing-listens'],
  },
  'migrate-failed': {
    pattern: /\bIOERR\b/,
    means: () =>
      'MIGRATE got no answer from the node to which it was to move keys, within the time that it was given',
    why: 'That node is down, frozen or slow, or a key is so large that it takes longer. The key is still where it was, and may be there as well.',
    mend: ['shardq cluster check', 'shardq cluster fix', 'redis-cli -h HOST -p PORT --bigkeys'],
    checks: ['open-slots', 'node-frozen', 'wrong-node-keys'],
  },
  'sync-timed-out': {
    pattern:
      /Timeout receiving bulk data from MASTER|Timeout connecting to the MASTER|MASTER timeout: no data/i,
    means: () =>
      'a replica gave up waiting for its master, which sent nothing for as long as repl-timeout says',
    why: 'With a lot of data, the master takes longer to write its snapshot, or the network to carry it. The replica begins anew, and so may never come to an end.',
    mend: [
      'redis-cli -h HOST -p PORT CONFIG GET repl-timeout',
      'redis-cli -h HOST -p PORT CONFIG SET repl-timeout 300',
      'redis-cli -h HOST -p PORT INFO replication',
    ],
    checks: ['replica-link-down', 'replica-lag', 'node-frozen'],
  },
  'timed-out': {
    pattern:
      /timed out|ETIMEDOUT|no answer from|(?<!error or |repl-)timeout(?! receiving bulk| connecting to the MASTER|: no data)/i,
    means: () => 'something took the connection or the command, and did not answer in time',
    why: 'A frozen process, a slow command, a machine that is down, or a firewall that drops what is sent.',
    mend: ['shardq cluster check', 'redis-cli -h HOST -p PORT SLOWLOG GET 10'],
    checks: ['node-frozen', 'host-silent', 'node-slow', 'node-swapping', 'clients-full'],
  },
  'unknown-host': {
    pattern: /ENOTFOUND|EAI_AGAIN|getaddrinfo|Name or service not known/i,
    means: () => 'the name of the host means nothing to this machine',
    why: 'A typing error, a name that holds only inside of containers, or a name server that is down.',
    mend: ['getent hosts HOST'],
    checks: ['host-unknown', 'announce-address'],
  },
  unroutable: {
    pattern: /EHOSTUNREACH|ENETUNREACH|No route to host|Network is unreachable/i,
    means: () => 'there is no way to that address from here',
    why: 'Nodes announce an address of their own network, as in containers; or the machine is down.',
    mend: ['ip route get ADDRESS', 'redis-cli -h HOST -p PORT CONFIG GET cluster-announce-ip'],
    checks: ['host-silent', 'announce-address'],
  },
  'hang-up': {
    pattern: /ECONNRESET|EPIPE|Connection is closed|socket hang up|Server closed the connection/i,
    means: () => 'the connection was ended by the other side',
    why: 'The node was restarted, or has protected mode on, or speaks TLS alone, or takes no more clients.',
    mend: ['shardq cluster check', 'redis-cli -h HOST -p PORT --tls PING'],
    checks: ['hangs-up', 'protected-mode', 'clients-full', 'nothing-listens', 'node-failed'],
  },
  'address-in-use': {
    pattern: /ListenError|EADDRINUSE|Address already in use|port \d+(?: \([^)]*\))? is in use/i,
    means: () => 'another program has the port, or the bus port that goes with it',
    why: 'A node needs two ports, its own and that plus 10,000. Another server may have been left running.',
    mend: ['ss -ltnp', 'shardq cluster up --base-port 8000'],
    checks: ['not-redis'],
  },
  'waiting-to-join': {
    pattern: /Waiting for the cluster to join/i,
    means: () => 'redis-cli waits for nodes that do not meet',
    why: 'Their bus ports do not reach each other (data port plus 10,000), or they announce addresses that lead nowhere, 127.0.0.1 for one.',
    mend: ['nc -vz -w 3 HOST BUSPORT', 'redis-cli -h HOST -p PORT CONFIG GET cluster-announce-ip'],
    checks: ['bus-port', 'announce-address', 'handshake-pending'],
  },
  'slots-not-covered': {
    pattern: /slots (are|is) (not )?covered|Hash slot not served/i,
    means: () => 'some slots have no owner',
    why: 'A node was removed with its slots, or a move was interrupted, or a master is gone without a replica.',
    mend: ['shardq cluster check', 'shardq cluster fix'],
    checks: ['slots-unassigned', 'cluster-down', 'node-failed', 'open-slots'],
  },
  'node-not-empty': {
    pattern: /is not empty\. Either the node already knows other nodes/i,
    means: () => 'the node belongs to a cluster already, or has keys',
    why: 'redis-cli makes clusters of empty nodes only. Look twice before you empty one.',
    mend: ['redis-cli -h HOST -p PORT CLUSTER NODES', 'shardq cluster up'],
    checks: [],
  },
  'failover-timed-out': {
    pattern: /Manual failover timed out|Failover attempt expired/i,
    means: () => 'CLUSTER FAILOVER answered OK, and nothing came of it',
    why: 'The master did not know the replica yet, or the replica was elected a moment ago. Wait until all nodes agree, and some ten seconds more.',
    mend: ['shardq cluster check', 'shardq cluster drill --kind failover'],
    checks: ['views-differ', 'replica-link-down', 'bus-port'],
  },
  'replica-too-old': {
    pattern: /Disconnected from master for longer than allowed/i,
    means: () => 'the replica will not stand for election: its data is too old',
    why: 'Its link was down long before the master died; without masterauth it was never up.',
    mend: ['shardq cluster check', 'redis-cli -h HOST -p PORT INFO replication'],
    checks: ['replica-link-down', 'masterauth-missing', 'node-failed'],
  },
  overcommit: {
    pattern: /overcommit|Can't save in background: fork|Cannot allocate memory/i,
    means: () => 'the kernel may refuse, or has refused, the fork that a snapshot or a replica’s sync needs',
    why: 'With vm.overcommit_memory 0 or 2 it counts the memory as if it were needed twice.',
    mend: ['sudo sysctl vm.overcommit_memory=1'],
    checks: ['overcommit', 'rdb-failing', 'memory-high'],
  },
  'huge-pages': {
    pattern: /Transparent Huge Pages|transparent_hugepage/i,
    means: () => 'the kernel gives out memory in pieces of 2 MB',
    why: 'After a fork, every small write copies as much. Redis opts out by itself unless disable-thp is no.',
    mend: ['echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled'],
    checks: ['transparent-huge-pages'],
  },
  'disk-full': {
    pattern: /ENOSPC|No space left on device/i,
    means: () => 'a disk is full',
    why: 'A node that cannot write refuses all writes (MISCONF), and so does its whole shard.',
    mend: ['df -h', 'du -sh /var/lib/redis'],
    checks: ['disk-low', 'rdb-failing', 'aof-failing'],
  },
} satisfies Record<string, Symptom>
