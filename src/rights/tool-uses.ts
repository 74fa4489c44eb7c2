import type { Use } from './use.js'

/**
 * What is done with the nodes of a cluster (`src/cluster`, `src/check`, `src/drill`). A tool that sends another command needs a
 * line here: test/cluster/rights.test.ts reads what they send.
 */

export const OBSERVING = {
  commands: {
    info: 'status, metrics, all tools: how a node is',
    'cluster|info': 'status, metrics: whether it serves',
    'cluster|nodes': 'all tools: who there is, and who owns what',
  },
} satisfies Use

export const CHECKING = {
  commands: {
    'config|get': 'check: settings; drill: cluster-node-timeout; backup: repl-diskless-sync',
    time: 'check, restore: clocks',
    'acl|list': 'check, users: whether users are the same on all nodes',
    'function|list':
      'check, backup: whether functions are the same on all masters; rebalance, remove-node: whether others have those of a node',
    'cluster|countkeysinslot': 'check, fix: keys that are not where they belong',
    bgsave: 'what check advises where the last one failed',
    bgrewriteaof: 'the same',
  },
} satisfies Use

/** `cluster fix`: also keys of others, and with the values of those that are on two nodes. */
export const MENDING = {
  commands: {
    dbsize: 'whether a node is empty',
    'cluster|getkeysinslot': 'which keys a slot has',
    'cluster|setslot': 'open and close slots',
    'cluster|bumpepoch': 'a claim that counts',
    'cluster|forget': '--forget',
    asking: 'speak to the end of a move that does not own the slot',
    migrate: 'move keys',
    'restore-asking': 'what MIGRATE sends to the other end, as the same user',
    select: 'the same, on each new connection',
    restore: 'the same, to a server that is no cluster node',
    exists: 'keys that are on both sides',
    unlink: 'a copy that nobody uses; keys of a drill',
    'memory|usage': 'keys too big to be moved in one go',
    type: 'compare keys that are on both sides',
    pexpiretime: 'compare their times to live',
    dump: 'compare streams and types of modules',
    get: 'compare texts',
    lrange: 'compare lists',
    smembers: 'compare sets',
    hgetall: 'compare hashes',
    zrange: 'compare sorted sets',
    'xinfo|stream': 'compare streams',
    'xinfo|groups': 'the same',
    'xinfo|consumers': 'the same',
    xrange: 'the same',
    xpending: 'the same',
  },
} satisfies Use

/** What an operation writes into the cluster of itself (src/cluster/own-keys.ts). */
export const OPERATING = {
  commands: {
    eval: 'every operation: hold the lock, and let go of it',
    get: 'what the lock is held by; a rolling restart that was broken off',
    set: 'hold it; where a rolling restart is',
    del: 'let go of it; a rolling restart, or a restore, that is at its end',
    wait: 'whether a replica has it, before anything is done',
    'client|setname': 'connections of an operation can be told from others',
    'client|list': 'those of operations that were cut off',
    'client|kill': 'which may have something under way still',
    hgetall: 'a restore that was broken off; what an operation owes to nodes that was',
    hset: 'where a restore is; what is owed to a node',
    hdel: 'a key that was copied in pieces is whole; a node has got back what it was owed',
  },
} satisfies Use

/** Bringing nodes together, and waiting until they are ready. */
export const FORMING = {
  commands: {
    'cluster|meet': 'introduce nodes to each other',
    'cluster|myid': 'which node it is',
    'cluster|set-config-epoch': 'each master begins with an epoch of its own',
    'cluster|addslotsrange': 'deal out slots',
    'cluster|replicate': 'make a replica',
    'cluster|reset': 'a node that has left, or that could not be made one of a cluster, is empty again',
    set: 'whether each shard takes a write',
    wait: 'whether its replicas take it',
    del: 'remove it',
  },
} satisfies Use

/** `cluster drill` on hosts of others, beside the queue that it loads. */
export const DRILLING = {
  commands: {
    'cluster|failover': 'hand a shard to its replica',
    role: 'whether it has it',
    'client|kill': 'have a replica link up anew',
    shutdown: 'end a node',
    'debug|sleep': 'freeze a node, where enable-debug-command permits it',
    ping: 'whether a node is back',
    srem: 'take the queue of the drill from the list',
  },
} satisfies Use

export const BACKING_UP = {
  commands: {
    replconf: 'backup: the data alone, without the writes that follow',
    sync: 'backup: the snapshot of a master',
  },
} satisfies Use

/** `cluster restore`, and a move of slots with much in them, into the keys of others. */
export const RESTORING = {
  commands: {
    scan: 'whether a node is empty',
    'function|list': 'whether there are functions; add-node: which a new node lacks',
    'function|load': 'restore, add-node: give them to every master',
    'function|dump': 'restore: which format of keys a node takes',
    strlen: 'compare and write big texts in pieces',
    getrange: 'the same',
    setrange: 'the same',
    hlen: 'big hashes',
    hscan: 'the same',
    sscan: 'big sets',
    zscan: 'big sorted sets',
    zmscore: 'the same',
    pexpireat: 'the time to live of what was written in pieces',
    multi:
      'restore: a piece of a key, with its time to live; a slot that could not be given away is opened again in one go',
    pexpire: 'restore: the time to live of what is under construction',
    exec: 'as multi',
    rename: 'restore: a key that is whole gets its name',
    persist: 'the same',
  },
} satisfies Use

export const GIVING_RIGHTS = {
  commands: {
    'acl|setuser': 'users apply; add-node: a new node gets the users that the others have',
    'acl|cat': 'users: which commands a node means that tells them by their category',
    'acl|save': 'users apply: where there is an aclfile',
    'acl|dryrun': 'users apply: whether the operator could switch the default user on again',
    'config|set': 'users apply: masteruser, masterauth; commands that check advises',
    'config|rewrite': 'users apply: where there is none; settings that are to last',
  },
} satisfies Use

/** A replica with its master, as `masteruser`. */
export const REPLICATING = {
  commands: {
    ping: 'the first word of a replica',
    replconf: 'what it can do, and how far it is',
    psync: 'take over the data, and all that follows',
  },
} satisfies Use
