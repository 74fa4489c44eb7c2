/**
 * What each script of `src/scripts` calls: a server checks every call that a script makes against the rights of whoever
 * runs it. Written down, since the cluster tools read no scripts; test/unit/rights/scripts.test.ts derives it from the Lua
 * text and compares, so that it cannot be wrong for long.
 */
export const SCRIPTS = {
  admit: 'get info set time',
  checkpoint: 'del hexists hget hset set smismember time',
  'dead-ids': 'hget hstrlen zcount zrevrange',
  'dead-list': 'hget zcount zrevrange',
  'dead-remove': 'hdel hincrby zrem',
  'dead-retry': 'hdel hget rpush spublish zrem',
  depth: 'hmget llen scard zcard zrange',
  enqueue: 'get hincrby hmget hset pexpire rpush set spublish time zadd zrange',
  exchange:
    'del exists hdel hexists hget hincrby hmget hset lpop lpush lrange ltrim sadd set sismember smismember srem time zadd zrange zrem zscore',
  extend: 'exists hdel hexists hget hincrby hset sadd sismember spublish srem time zadd zrange zrem',
  fail: 'exists hdel hexists hget hincrby hset rpush sadd sismember spublish srem time zadd zrange zrem',
  inspect: 'hget sismember time zscore',
  open: 'hget hsetnx',
  pause: 'del set spublish',
  peek: 'hget lrange',
  reassert: 'exists hget hset lrange lrem sadd sismember srem time zadd zrem',
  recover: 'hdel hexists hget hincrby hset lpush scard spublish srandmember srem time zadd zrem zscore',
  release: 'exists hdel hexists hget hincrby hset lpush sadd sismember smembers spublish srem zrem',
  renew: 'time zadd zscore',
  survey: 'exists hget hgetall hmget llen lrange pubsub|shardnumsub scard time zcard zrange',
  tend: 'exists hdel hmget rpush spublish time zrange zrangebyscore zrem',
  touch: 'set',
  'verify-locate': 'hexists llen lpos smismember zcard zrange zscore',
  'verify-page': 'exists hexists hscan lrange sscan zscan zscore',
  'verify-snapshot': 'hkeys hlen hmget llen lrange scard smembers zcard zrange',
  void: 'exists get hdel hexists hget hincrby hset llen lpos lrem set zrem',
} as const

export type ScriptName = keyof typeof SCRIPTS
