-- A write that changes nothing of a task: WAIT behind it covers all that the master wrote before.
-- KEYS   1 probe  last never
-- ARGV   none
-- Output nothing
-- Atomic A write all the same on a master whose memory is full: DEL is allowed there, and a script that has written
--        may go on.
redis.call('DEL', KEYS[1])
redis.call('SET', KEYS[1], 1, 'PX', 60000)
