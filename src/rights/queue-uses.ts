import type { Use } from './use.js'

/** What is done with a queue (`src/connection`, `src/queue`, `src/worker`). */

export const CONNECTING = {
  commands: {
    'client|setname': 'sockets are called shardq in CLIENT LIST',
    info: 'whether the server is new enough, and a cluster; lag and memory in health()',
    'cluster|nodes': 'who serves which slot',
    ping: 'whether a single server lives',
  },
} satisfies Use

export const RUNNING_SCRIPTS = {
  commands: {
    evalsha: 'every script',
    eval: 'a script that the node does not know yet',
    asking: 'a slot that is on its way to another node',
  },
} satisfies Use

export const READING_BY_SCRIPTS = {
  commands: {
    evalsha_ro: 'a script that changes nothing',
    eval_ro: 'one that the node does not know yet',
  },
} satisfies Use

/** A queue is made by whoever connects to it first. */
export const OPENING = {
  scripts: ['open'],
  commands: { hget: 'whether a queue is there, and into how many partitions it is divided' },
} satisfies Use

/** In QUEUES_KEY, and so the one right that is not about keys of a queue. */
export const REGISTERING = {
  commands: {
    sismember: 'whether the queue is listed among all others',
    sadd: 'list it',
  },
} satisfies Use

/** Whoever opens a queue may have to make it, and that is confirmed too. */
export const CONFIRMING = {
  scripts: ['touch'],
  commands: {
    wait: 'whether replicas have it',
    waitaof: 'whether it is on disk (durability fsynced)',
  },
} satisfies Use

export const ENQUEUEING = { scripts: ['enqueue', 'void'], commands: {} } satisfies Use

export const WORKING = {
  scripts: [
    ...(['exchange', 'admit', 'reassert', 'tend', 'recover', 'renew', 'release'] as const),
    ...(['extend', 'fail', 'checkpoint'] as const),
  ],
  commands: { ssubscribe: 'be woken when a task becomes ready' },
} satisfies Use

/** getTask, checkpoints, depth, peek, stats: what anybody may do who may open the queue. */
export const LOOKING = {
  scripts: ['depth', 'inspect', 'peek'],
  commands: {
    zrange: 'getTask: the leases there are',
    hmget: 'stats: counters',
    exists: 'isPaused',
    readonly: 'readFrom: replica',
  },
} satisfies Use

export const MANAGING = {
  scripts: ['dead-ids', 'dead-list', 'dead-retry', 'dead-remove', 'pause'],
  commands: { zscore: 'in which partition a task is dead' },
} satisfies Use

/** A queue and all its tasks, for good: nothing that producers, workers or managers should be able to do. */
export const DELETING = {
  commands: {
    exists: 'whether the queue was paused before',
    'cluster|getkeysinslot': 'the keys of a partition',
    scan: 'the same on a single server',
    unlink: 'remove them',
    wait: 'whether a replica has heard of it',
    srem: 'strike it from the list of all queues',
  },
} satisfies Use

export const SURVEYING = {
  scripts: ['survey'],
  commands: {
    smembers: 'the names of all queues',
    hget: 'into how many partitions each is divided',
  },
} satisfies Use

/** verify(). */
export const VERIFYING = {
  scripts: ['verify-snapshot', 'verify-page', 'verify-locate'],
  commands: {
    hget: 'into how many partitions it is recorded to be divided',
    'cluster|countkeysinslot': 'whether the keys of a partition are listed, or all keys gone through',
    'cluster|getkeysinslot': 'keys that no part of the queue knows',
    scan: 'the same, where a slot has many, and on a single server',
    exists: 'whether such a key is still there; the set of a lease',
    pttl: 'whether keys that are to expire will',
    zscore: 'whether a lease has its entry',
  },
} satisfies Use
