-- Pauses a partition, or lets it go on.
-- Flags allow-oom
-- KEYS   1 paused  2 never
-- ARGV   1 wake channel  2 '1' to pause, '0' to go on
-- Output nothing
-- Atomic The wake has every consumer look at the partition again (queue/consumer.ts).
-- Memory Runs while memory is full: one small key.
if ARGV[2] == '1' then
  redis.call('SET', KEYS[1], '1')
else
  redis.call('DEL', KEYS[1])
  redis.call('SPUBLISH', ARGV[1], 's')
end
