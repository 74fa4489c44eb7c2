-- How many tasks a partition has ready and active: those under names of their own, and those of bundles beyond their names.
-- `bundled` is the key of that name.
local function beyondNames(bundled)
  return redis.call('HMGET', bundled, '0', '1', '2', 'active')
end

local function readyIn(list, level, beyond)
  return redis.call('LLEN', list) + (beyond[level] or 0)
end

-- Names under the first `most` leases; nil: under all. `prefix` is what the keys of their sets begin with.
local function heldUnder(leases, prefix, most)
  local held = 0
  for _, id in ipairs(redis.call('ZRANGE', leases, 0, (most or 0) - 1)) do
    held = held + redis.call('SCARD', prefix .. id)
  end
  return held
end
