-- Hands tasks of a lease back to the head of their lists without using up an attempt.
-- Uses   bundle, order, ready
-- Flags allow-oom
-- KEYS   1-3 ready lists (high, medium, low)  4 tasks  5 leases  6 set of the lease  7 bundled  last never
-- ARGV   1 wake channel  2 lease id  3.. ids of tasks and names of bundles, in the order in which they were handed out; none
--        means all that the lease holds. A name may stand here twice, and a task beside its bundle.
-- Output a number for each: 1 handed back by this call, 0 held by someone else, 2 no longer there
-- Atomic A task leaves the lease and enters its list in the same step. The order of the names is that of the lists afterwards;
--        without names, that in which a producer enqueued them. All go back in one call: a lease has one fetch.
-- Memory Runs while memory is full: tasks only change places.
local names = {}
for i = 3, #ARGV do
  names[i - 2] = ARGV[i]
end
if #names == 0 then
  names = sortByEnqueued(redis.call('SMEMBERS', KEYS[6]))
end

local function leave(name)
  if redis.call('SREM', KEYS[6], name) == 0 then
    return false
  end
  if sizeOf(name) > 1 then
    redis.call('HINCRBY', KEYS[7], 'active', 1 - sizeOf(name))
  end
  return true
end

-- What goes back, in its order; those that are there as a whole come before their tasks are looked for one by one.
local whole, back = {}, {}
for i, name in ipairs(names) do
  if sizeOf(name) > 1 and not whole[name] and leave(name) then
    whole[name] = true
    if redis.call('HEXISTS', KEYS[4], name) == 1 then
      back[i] = { name }
    else
      -- Taken apart by void.lua, which left it here.
      back[i] = takeApart(KEYS[4], name)
    end
  end
end

local gone, out = {}, {}
-- Whether the task leaves the lease, or has left it in this call. `into` gets it if it is there.
local function giveBack(id, into)
  if whole[bundleOf(id)] or gone[id] then
    return gone[id] or 1
  end
  if not holds(KEYS[6], id, KEYS[4], KEYS[7]) or not leave(id) then
    return exists(KEYS[4], id) and 0 or 2
  end
  if redis.call('HEXISTS', KEYS[4], id) == 0 then
    gone[id] = 2
  else
    gone[id] = 1
    into[#into + 1] = id
  end
  return gone[id]
end

for i, name in ipairs(names) do
  if whole[name] then
    out[i] = 1
  elseif sizeOf(name) == 1 then
    back[i] = {}
    out[i] = giveBack(name, back[i])
  else
    -- Not there as a whole; the lease may have its tasks.
    back[i] = {}
    local any = {}
    for _, id in ipairs(membersOf(name)) do
      any[giveBack(id, back[i])] = true
    end
    out[i] = any[1] and 1 or any[0] and 0 or 2
  end
end

for i = #names, 1, -1 do
  local here = back[i] or {}
  for j = #here, 1, -1 do
    local name = here[j]
    local level = makeReady('LPUSH', name, redis.call('HGET', KEYS[4], name))
    if sizeOf(name) > 1 then
      redis.call('HINCRBY', KEYS[7], level, sizeOf(name) - 1)
    end
  end
end
if redis.call('EXISTS', KEYS[6]) == 0 then
  redis.call('ZREM', KEYS[5], ARGV[2])
end
wake(ARGV[1])
return out
