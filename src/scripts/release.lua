-- Hands tasks of a lease back to the head of their lists without using up an attempt.
-- Uses   bundle, ready
-- KEYS   1-3 ready lists (high, medium, low)  4 tasks  5 leases  6 set of the lease  7 bundled  last never
-- ARGV   1 wake channel  2 lease id  3.. ids of tasks and names of bundles; none means all that the lease holds, up to 1,000
-- Output a number for each: 1 handed back, 0 held by someone else, 2 no longer there
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

local function handBack(name)
  local record = redis.call('HGET', KEYS[4], name)
  if record then
    local level = makeReady('LPUSH', name, record)
    if sizeOf(name) > 1 then
      redis.call('HINCRBY', KEYS[7], level, sizeOf(name) - 1)
    end
  elseif sizeOf(name) > 1 then
    -- Taken apart by void.lua, which left it here.
    for _, id in ipairs(takeApart(KEYS[4], name)) do
      handBack(id)
    end
  end
end

for i = #ids, 1, -1 do
  local name = ids[i]
  if sizeOf(name) == 1 then
    holds(KEYS[6], name, KEYS[4], KEYS[7])
  end
  if redis.call('SREM', KEYS[6], name) == 0 then
    out[i] = exists(KEYS[4], name) and 0 or 2
  else
    out[i] = 1
    if sizeOf(name) > 1 then
      redis.call('HINCRBY', KEYS[7], 'active', 1 - sizeOf(name))
    end
    handBack(name)
  end
end
if redis.call('EXISTS', KEYS[6]) == 0 then
  redis.call('ZREM', KEYS[5], ARGV[2])
end
wake(ARGV[1])
return out
