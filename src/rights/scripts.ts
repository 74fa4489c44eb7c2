/**
 * What each script of `src/scripts` calls: a server checks every call that a script makes against the rights of whoever
 * runs it. Written down, since the cluster tools read no scripts; test/unit/rights/scripts.test.ts derives it from the Lua
 * text and compares, so that it cannot be wrong for long.
 */
export const SCRIPTS = {
  checkpoint: 'hexists hget hset smismember time',
  'dead-list': 'hget zrevrangebyscore',
  'dead-remove': 'hdel zrem',
  'dead-retry': 'hdel hget rpush spublish zrem',
  enqueue: 'get hincrby hset pexpire rpush set spublish time zadd zrange',
  exchange:
    'del exists hdel hexists hget hincrby hmget hset lpop lpush lrange ltrim sadd scard sismember smismember srem time zadd ' +
    'zrange zrem',
  extend: 'exists hdel hexists hget hincrby hset sadd sismember srem time zadd zrem',
  fail: 'exists hdel hexists hget hincrby hset rpush sadd sismember spublish srem time zadd zrange zrem',
  inspect: 'hget sismember time zscore',
  open: 'hget hsetnx',
  pause: 'del set spublish',
  peek: 'hget lrange',
  recover: 'hdel hexists hget hincrby hset lpush scard spop spublish time zadd zrem zscore',
  release: 'exists hdel hexists hget hincrby hset lpush sadd sismember spublish srandmember srem zrem',
  renew: 'time zadd zscore',
  survey: 'exists hget hgetall hmget llen lrange pubsub|shardnumsub scard time zcard zrange',
  tend: 'exists hdel hmget rpush spublish time zrange zrangebyscore zrem',
  touch: 'del set',
  'verify-locate': 'hexists llen lpos smismember zcard zrange zscore',
  'verify-page': 'exists hexists hscan lrange sscan zscan zscore',
  'verify-snapshot': 'hkeys hlen hmget llen lrange scard smembers zcard zrange',
  void: 'get hdel hexists hget hset set zrem',
} as const

export type ScriptName = keyof typeof SCRIPTS
