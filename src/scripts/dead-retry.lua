-- Takes tasks out of the dead letters and makes them ready again, with all their attempts.
-- KEYS   1-3 ready lists (high, medium, low)  4 tasks  5 attempts  6 dead  7 errors
-- ARGV   1 wake channel  2.. task ids
-- Output number of tasks that were dead and are ready now
-- Atomic A task leaves the dead letters and enters its list in the same step; one that is not dead is left alone.
local moved = 0
local woken = {}
for i = 2, #ARGV do
  local id = ARGV[i]
  if redis.call('ZREM', KEYS[6], id) == 1 then
    redis.call('HDEL', KEYS[5], id)
    redis.call('HDEL', KEYS[7], id)
    local record = redis.call('HGET', KEYS[4], id)
    if record then
      local level = (string.match(record, '^[012]') or 1)
      if redis.call('RPUSH', KEYS[level + 1], id) == 1 then
        woken[#woken + 1] = level
      end
      moved = moved + 1
    end
  end
end
if #woken > 0 then
  redis.call('SPUBLISH', ARGV[1], table.concat(woken))
end
return moved
