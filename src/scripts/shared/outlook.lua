-- How a partition stands: { levels with tasks as '0', '12', ..., paused 0 or 1, ms until the next scheduled task is due,
-- ms until the next lease runs out, ms until the next kept result expires }; -1 for none, 0 for now.
-- `results` is the ZSET of the times at which results expire.
local function outlook(ready, scheduled, leases, paused, now, results)
  local levels = ''
  -- Of an idle queue, one call for all of them.
  local full = redis.call('EXISTS', ready[1], ready[2], ready[3])
  for level = 1, 3 do
    if full > 0 and redis.call('EXISTS', ready[level]) == 1 then
      levels = levels .. (level - 1)
    end
  end
  local due = redis.call('ZRANGE', scheduled, 0, 0, 'WITHSCORES')[2]
  local over = redis.call('ZRANGE', leases, 0, 0, 'WITHSCORES')[2]
  local old = results and redis.call('ZRANGE', results, 0, 0, 'WITHSCORES')[2]
  return {
    levels,
    redis.call('EXISTS', paused),
    due and math.max(0, due - now) or -1,
    over and math.max(0, over - now) or -1,
    old and math.max(0, old - now) or -1,
  }
end
