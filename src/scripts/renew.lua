-- Renews leases: the heartbeat of a worker.
-- Flags allow-oom
-- KEYS   1 leases  last never
-- ARGV   1 ms from now until they run out  2.. lease ids
-- Output a number per lease: 1 renewed, 0 lost
-- Atomic A lease that was recovered is gone from `leases` and is not brought back. One that runs out later anyway, since
--        it was extended, stays as it is.
-- Memory Runs while memory is full, since the tasks would else be run again beside workers that live. It changes numbers.
local time = redis.call('TIME')
local expiry = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[1]))
local out = {}
for i = 2, #ARGV do
  if redis.call('ZSCORE', KEYS[1], ARGV[i]) then
    redis.call('ZADD', KEYS[1], 'XX', 'GT', expiry, ARGV[i])
    out[#out + 1] = 1
  else
    out[#out + 1] = 0
  end
end
return out
