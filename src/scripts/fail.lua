-- Ends a delivery without success: schedules the task again, or moves it to the dead letters.
-- Uses   bundle, ready
-- Flags allow-oom
-- KEYS   1-3 ready lists (high, medium, low)  4 tasks  5 attempts  6 scheduled  7 leases  8 counters  9 dead
--        10 errors  11 set of the lease  12 bundled  last never
-- ARGV   1 wake channel  2 lease id  3 task id  4 'retry' | 'die'  5 ms until the retry  6 error as JSON
--        7 number of the attempt that failed, or 0
-- Output 'done' | 'lost' (the lease does not hold the task) | 'gone' (nor is it there any more)
--        'counted' (the lease does not hold it, and this attempt has been counted, perhaps by an earlier copy of this call)
-- Atomic The task leaves the lease and enters its next place in the same step, one attempt used up. One without a record (it
--        was voided while it was run) leaves the lease, is gone, and is not counted.
-- Memory Runs while memory is full, since a task that fails would else be run again for ever. A dead task takes its error
--        more: message and stack have 10,000 characters at most (queue/task.ts).
local function endIfEmpty()
  if redis.call('EXISTS', KEYS[11]) == 0 then
    redis.call('ZREM', KEYS[7], ARGV[2])
  end
end

if not holds(KEYS[11], ARGV[3], KEYS[4], KEYS[12]) then
  endIfEmpty()
  if not exists(KEYS[4], ARGV[3]) then
    return 'gone'
  end
  local counted = tonumber(redis.call('HGET', KEYS[5], ARGV[3]) or '0')
  return tonumber(ARGV[7]) > 0 and counted >= tonumber(ARGV[7]) and 'counted' or 'lost'
end
redis.call('SREM', KEYS[11], ARGV[3])
endIfEmpty()
local record = redis.call('HGET', KEYS[4], ARGV[3])
if not record then
  return 'gone'
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HINCRBY', KEYS[5], ARGV[3], 1)
redis.call('HINCRBY', KEYS[8], 'failed', 1)
if ARGV[4] == 'die' then
  redis.call('ZADD', KEYS[9], string.format('%.0f', now), ARGV[3])
  redis.call('HSET', KEYS[10], ARGV[3], ARGV[6])
  redis.call('HINCRBY', KEYS[8], 'dead', 1)
  return 'done'
end
redis.call('HINCRBY', KEYS[8], 'retried', 1)
local delay = tonumber(ARGV[5])
if delay <= 0 then
  makeReady('RPUSH', ARGV[3], record)
  wake(ARGV[1])
  return 'done'
end
redis.call('ZADD', KEYS[6], string.format('%.0f', now + delay), ARGV[3])
if redis.call('ZRANGE', KEYS[6], 0, 0)[1] == ARGV[3] then
  redis.call('SPUBLISH', ARGV[1], 's')
end
return 'done'
