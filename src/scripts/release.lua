-- Hands tasks of a lease back to the head of their lists without using up an attempt.
-- KEYS   1-3 ready lists (high, medium, low)  4 tasks  5 leases  6 set of the lease
-- ARGV   1 wake channel  2 lease id  3.. task ids; none means every task of the lease, up to 1,000
-- Output a number per id: 1 handed back, 0 held by someone else, 2 no longer there
-- Atomic A task leaves the lease and enters its list in the same step.
local ids = {}
if #ARGV > 2 then
  for i = 3, #ARGV do
    ids[#ids + 1] = ARGV[i]
  end
else
  ids = redis.call('SRANDMEMBER', KEYS[6], 1000)
end
local out = {}
local woken = {}
for i = #ids, 1, -1 do
  local id = ids[i]
  local record = redis.call('HGET', KEYS[4], id)
  if redis.call('SREM', KEYS[6], id) == 0 then
    out[i] = record and 0 or 2
  else
    out[i] = 1
    if record then
      local level = (string.match(record, '^[012]') or 1)
      if redis.call('LPUSH', KEYS[level + 1], id) == 1 then
        woken[#woken + 1] = level
      end
    end
  end
end
if redis.call('EXISTS', KEYS[6]) == 0 then
  redis.call('ZREM', KEYS[5], ARGV[2])
end
if #woken > 0 then
  redis.call('SPUBLISH', ARGV[1], table.concat(woken))
end
return out
