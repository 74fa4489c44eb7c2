-- Records into how many partitions a queue is divided, unless that is known.
-- KEYS   1 a copy of the number  2 never
-- ARGV   1 number of partitions if none is recorded
-- Output number of partitions that is recorded now
-- Atomic Of two clients that make a queue at once, the first decides. What is known is not written again, so that a queue can
--        be opened while memory is full.
local known = redis.call('HGET', KEYS[1], 'partitions')
if known then return tonumber(known) end
redis.call('HSETNX', KEYS[1], 'partitions', ARGV[1])
return tonumber(ARGV[1])
