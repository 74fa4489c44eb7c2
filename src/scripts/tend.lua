-- Makes due tasks ready, forgets expired results, and says how the partition stands.
-- Flags allow-oom
-- Memory None to speak of: each id leaves one key before it enters another, and results are removed.
-- Uses   outlook, ready
-- KEYS   1-3 ready lists (high, medium, low)  4 tasks  5 scheduled  6 leases  7 paused  8 results
--        9 result expiry  last never
-- ARGV   1 wake channel  2 most tasks to move and most results to forget
-- Output { outlook (shared/outlook.lua), ids of leases that have run out, 1 if more was due than one call moves, the server's time in ms }
-- Atomic A task leaves `scheduled` and enters its ready list in the same step. An id without a record is dropped.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local nowText = string.format('%.0f', now)
local most = tonumber(ARGV[2])
local more = 0

local head = redis.call('ZRANGE', KEYS[5], 0, 0, 'WITHSCORES')
if head[2] and tonumber(head[2]) <= now then
  local ids = redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', nowText, 'LIMIT', 0, most)
  local records = redis.call('HMGET', KEYS[4], unpack(ids))
  redis.call('ZREM', KEYS[5], unpack(ids))
  for i = 1, #ids do
    if records[i] then
      makeReady('RPUSH', ids[i], records[i])
    end
  end
  wake(ARGV[1])
  more = #ids == most and 1 or more
end

local old = redis.call('ZRANGEBYSCORE', KEYS[9], '-inf', nowText, 'LIMIT', 0, most)
if #old > 0 then
  redis.call('ZREM', KEYS[9], unpack(old))
  redis.call('HDEL', KEYS[8], unpack(old))
  more = #old == most and 1 or more
end

return {
  outlook(KEYS, KEYS[5], KEYS[6], KEYS[7], now, KEYS[9]),
  redis.call('ZRANGEBYSCORE', KEYS[6], '-inf', nowText, 'LIMIT', 0, 100),
  more,
  now,
}
