-- Removes dead tasks for good.
-- KEYS   1 dead  2 tasks  3 attempts  4 errors  5 checkpoints  last never
-- ARGV   task ids
-- Output number of tasks removed
-- Atomic One that is not dead is left alone.
local removed = 0
for i = 1, #ARGV do
  if redis.call('ZREM', KEYS[1], ARGV[i]) == 1 then
    redis.call('HDEL', KEYS[2], ARGV[i])
    redis.call('HDEL', KEYS[3], ARGV[i])
    redis.call('HDEL', KEYS[4], ARGV[i])
    redis.call('HDEL', KEYS[5], ARGV[i])
    removed = removed + 1
  end
end
return removed
