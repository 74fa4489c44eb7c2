-- Takes tasks out of the dead letters and makes them ready again, with all their attempts.
-- Uses   ready
-- Flags allow-oom
-- KEYS   1-3 ready lists (high, medium, low)  4 tasks  5 attempts  6 dead  7 errors  last never
-- ARGV   1 wake channel  2.. task ids
-- Output number of tasks that were dead and are ready now
-- Atomic A task leaves the dead letters and enters its list in the same step; one that is not dead is left alone, and so is one
--        whose record is missing: there is nothing to run.
-- Memory Runs while memory is full: it stores nothing new, and frees the error.
local moved = 0
for i = 2, #ARGV do
  local id = ARGV[i]
  local record = redis.call('HGET', KEYS[4], id)
  if record and redis.call('ZREM', KEYS[6], id) == 1 then
    redis.call('HDEL', KEYS[5], id)
    redis.call('HDEL', KEYS[7], id)
    makeReady('RPUSH', id, record)
    moved = moved + 1
  end
end
wake(ARGV[1])
return moved
