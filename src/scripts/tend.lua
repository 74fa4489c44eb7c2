-- Makes due tasks ready, forgets expired results, and says how the partition stands.
-- KEYS   1-3 ready lists (high, medium, low)  4 tasks  5 scheduled  6 leases  7 paused  8 results
--        9 result expiry
-- ARGV   1 wake channel  2 most tasks to move and most results to forget
-- Output { outlook, ids of leases that have run out }
--        outlook  { levels with tasks as '0', '12', ..., paused 0 or 1, ms until the next scheduled task is due,
--        ms until the next lease runs out }; -1 for none, 0 for now
-- Atomic A task leaves `scheduled` and enters its ready list in the same step.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local most = tonumber(ARGV[2])

local head = redis.call('ZRANGE', KEYS[5], 0, 0, 'WITHSCORES')
if head[2] and tonumber(head[2]) <= now then
  local ids = redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', string.format('%.0f', now), 'LIMIT', 0, most)
  local records = redis.call('HMGET', KEYS[4], unpack(ids))
  local woken = {}
  for i = 1, #ids do
    if records[i] then
      local level = (string.match(records[i], '^[012]') or 1)
      if redis.call('RPUSH', KEYS[level + 1], ids[i]) == 1 then
        woken[#woken + 1] = level
      end
    end
  end
  redis.call('ZREM', KEYS[5], unpack(ids))
  if #woken > 0 then
    redis.call('SPUBLISH', ARGV[1], table.concat(woken))
  end
  head = redis.call('ZRANGE', KEYS[5], 0, 0, 'WITHSCORES')
end

local old = redis.call('ZRANGEBYSCORE', KEYS[9], '-inf', string.format('%.0f', now), 'LIMIT', 0, most)
if #old > 0 then
  redis.call('HDEL', KEYS[8], unpack(old))
  redis.call('ZREM', KEYS[9], unpack(old))
end

local levels = ''
for level = 1, 3 do
  if redis.call('EXISTS', KEYS[level]) == 1 then
    levels = levels .. (level - 1)
  end
end
local lease = redis.call('ZRANGE', KEYS[6], 0, 0, 'WITHSCORES')
local expired = {}
if lease[2] and tonumber(lease[2]) <= now then
  expired = redis.call('ZRANGEBYSCORE', KEYS[6], '-inf', string.format('%.0f', now), 'LIMIT', 0, 100)
end
return {
  {
    levels,
    redis.call('EXISTS', KEYS[7]),
    head[2] and math.max(0, head[2] - now) or -1,
    lease[2] and math.max(0, lease[2] - now) or -1,
  },
  expired,
}
