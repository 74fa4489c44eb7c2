-- Gives one delivery a lease of its own, which runs out at a time of its own.
-- Uses   bundle
-- Flags allow-oom
-- KEYS   1 leases  2 set of the lease it has  3 set of the lease it gets  4 tasks  5 bundled  last never
-- ARGV   1 task id  2 lease id it has  3 lease id it gets  4 ms from now until that runs out  5 wake channel
-- Output 'done' | 'lost' (the lease does not hold the task) | 'gone' (nor is it there any more)
-- Atomic The task is never without a lease. A lease with nothing in it ends.
-- Memory Runs while memory is full: a lease more for a delivery that is held, so for as many as workers run at once.
local function endIfEmpty(set, lease)
  if redis.call('EXISTS', set) == 0 then
    redis.call('ZREM', KEYS[1], lease)
  end
end

if not holds(KEYS[2], ARGV[1], KEYS[4], KEYS[5]) then
  -- A call whose reply was lost comes twice: the second one finds the task in its new lease.
  if redis.call('SISMEMBER', KEYS[3], ARGV[1]) == 0 then
    endIfEmpty(KEYS[2], ARGV[2])
    return exists(KEYS[4], ARGV[1]) and 'lost' or 'gone'
  end
end
if redis.call('HEXISTS', KEYS[4], ARGV[1]) == 0 then
  redis.call('SREM', KEYS[2], ARGV[1])
  redis.call('SREM', KEYS[3], ARGV[1])
  endIfEmpty(KEYS[2], ARGV[2])
  endIfEmpty(KEYS[3], ARGV[3])
  return 'gone'
end
local time = redis.call('TIME')
local expiry = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[4])
local first = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]
redis.call('SREM', KEYS[2], ARGV[1])
redis.call('SADD', KEYS[3], ARGV[1])
redis.call('ZADD', KEYS[1], string.format('%.0f', expiry), ARGV[3])
endIfEmpty(KEYS[2], ARGV[2])
-- Consumers know when the first of all leases runs out, and look no sooner.
if not first or expiry < tonumber(first) then
  redis.call('SPUBLISH', ARGV[5], 's')
end
return 'done'
