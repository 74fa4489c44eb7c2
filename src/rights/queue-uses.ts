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
  commands: { hget: 'whether a queue is there, before a command of shardq opens it' },
} satisfies Use

/** In QUEUES_KEY, and so the one right that is not about keys of a queue. */
export const REGISTERING = {
  commands: {
    sismember: 'whether the queue is listed among all others',
    sadd: 'list it',
  },
} satisfies Use

export const CONFIRMING = {
  commands: {
    wait: 'whether a replica has it',
    waitaof: 'whether it is on disk (durability fsynced)',
  },
} satisfies Use

export const ENQUEUEING = { scripts: ['enqueue', 'void'], commands: {} } satisfies Use

export const WORKING = {
  scripts: [
    ...(['exchange', 'tend', 'recover', 'renew', 'release'] as const),
    ...(['extend', 'fail', 'checkpoint', 'touch'] as const),
  ],
  commands: { ssubscribe: 'be woken when a task becomes ready' },
} satisfies Use

/** getTask, checkpoints, depth, peek, stats: what anybody may do who may open the queue. */
export const LOOKING = {
  scripts: ['inspect', 'peek'],
  commands: {
    llen: 'depth',
    zcard: 'depth',
    scard: 'depth: tasks under each lease',
    zrange: 'depth, getTask: the leases there are',
    hmget: 'depth, stats: counters',
    readonly: 'readFrom: replica',
  },
} satisfies Use

export const MANAGING = {
  scripts: ['dead-list', 'dead-retry', 'dead-remove', 'pause'],
  commands: {},
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
