-- Removes copies of tasks that are, or are to be, elsewhere.
-- Uses   bundle
-- Flags allow-oom
-- KEYS   1 tasks  2 attempts  3 checkpoints  4 scheduled  5 dead  6 errors  7 producer  last never
-- ARGV   1 batch number  2 ms to remember it  3.. task ids
-- Output the producer's batch number before (0: none is remembered), then the ids of the copies that were there and are
--        removed; of the others none was stored, or it has been completed
-- Atomic The copies are removed, and no batch up to this number is stored any more: one of them may still lie in the
--        socket of a master that was frozen, and would bring the copies back. An id that stays in a ready list
--        without a record is dropped when its turn comes (exchange.lua): finding it there would cost time that grows
--        with the queue. A copy that is being run is not run again, whatever becomes of that run.
for _, key in ipairs({ KEYS[2], KEYS[3], KEYS[6] }) do
  redis.call('HDEL', key, unpack(ARGV, 3))
end
redis.call('ZREM', KEYS[4], unpack(ARGV, 3))
redis.call('ZREM', KEYS[5], unpack(ARGV, 3))
local last = tonumber(redis.call('GET', KEYS[7]) or '0')
local out = { last }
for i = 3, #ARGV do
  local name = bundleOf(ARGV[i])
  -- Where the bundle's name stands, list or lease, is not known here; it goes on standing for those that stay.
  if name and redis.call('HEXISTS', KEYS[1], name) == 1 then
    takeApart(KEYS[1], name)
  end
  if redis.call('HDEL', KEYS[1], ARGV[i]) == 1 then
    out[#out + 1] = ARGV[i]
  end
end
-- Last, since a master without memory allows it only to a script that has written before.
if last < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[7], ARGV[1], 'PX', ARGV[2])
end
return out
