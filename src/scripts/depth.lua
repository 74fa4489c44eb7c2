-- Counts the tasks of a partition by their state. Changes nothing.
-- Uses   counts
-- KEYS   1-3 ready lists (high, medium, low)  4 scheduled  5 dead  6 leases  7 bundled  last never
-- ARGV   1 what the keys of the leases' sets begin with; they are in the slot of all others, and only known here
-- Output { high, medium, low, scheduled, dead, active }
-- Atomic One consistent look: a task that changes its state is counted once. Command by command it was missing from all of them when
--        it failed in between, and an empty queue is what many wait for.
-- Memory Reads only.
local beyond = beyondNames(KEYS[7])
local out = {}
for level = 1, 3 do
  out[level] = readyIn(KEYS[level], level, beyond)
end
out[4] = redis.call('ZCARD', KEYS[4])
out[5] = redis.call('ZCARD', KEYS[5])
out[6] = heldUnder(KEYS[6], ARGV[1]) + (beyond[4] or 0)
return out
