-- Removes copies of tasks that were confirmed elsewhere after this shard had not answered.
-- KEYS   1 tasks  2 scheduled
-- ARGV   task ids
-- Output number of copies removed
-- Atomic An id that stays in a ready list without a record is dropped when its turn comes (exchange.lua): finding
--        it there would cost time that grows with the queue.
redis.call('ZREM', KEYS[2], unpack(ARGV))
return redis.call('HDEL', KEYS[1], unpack(ARGV))
