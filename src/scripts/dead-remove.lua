-- Removes dead tasks for good.
-- Flags allow-oom
-- KEYS   1 dead  2 tasks  3 attempts  4 errors  5 checkpoints  6 counters  last never
-- ARGV   task ids
-- Output number of dead letters removed; one that has lost its record is one of them
-- Atomic One that is not dead is left alone. `removed` counts the tasks that were there.
-- Memory Runs while memory is full: it frees.
local removed, tasks = 0, 0
for i = 1, #ARGV do
  if redis.call('ZREM', KEYS[1], ARGV[i]) == 1 then
    tasks = tasks + redis.call('HDEL', KEYS[2], ARGV[i])
    redis.call('HDEL', KEYS[3], ARGV[i])
    redis.call('HDEL', KEYS[4], ARGV[i])
    redis.call('HDEL', KEYS[5], ARGV[i])
    removed = removed + 1
  end
end
if tasks > 0 then
  redis.call('HINCRBY', KEYS[6], 'removed', tasks)
end
return removed
