-- A write that changes nothing of a task: WAIT behind it covers all that the master wrote before.
-- Flags allow-oom
-- KEYS   1 probe  last never
-- ARGV   none
-- Output nothing
-- Atomic One write.
-- Memory Runs while memory is full, since nothing could be confirmed there else: one small key.
redis.call('SET', KEYS[1], 1, 'PX', 60000)
