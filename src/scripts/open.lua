-- Records a queue, or reads what was recorded when it was first opened.
-- KEYS   1 the queue's hash
-- ARGV   1 number of partitions if the queue is new
-- Output number of partitions that the queue has
-- Atomic Two clients that open a new queue at once get the same answer.
redis.call('HSETNX', KEYS[1], 'partitions', ARGV[1])
return tonumber(redis.call('HGET', KEYS[1], 'partitions'))
