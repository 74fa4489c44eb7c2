-- Puts the tasks of a lease that has run out back at the head of their lists, counting an attempt.
-- Flags allow-oom
-- Memory An attempt for each task, and an error for each that dies; the names only change their place.
-- Uses   bundle, order, ready
-- KEYS   1-3 ready lists (high, medium, low)  4 tasks  5 attempts  6 leases  7 counters  8 dead  9 errors
--        10 set of the lease  11 bundled  last never
-- ARGV   1 wake channel  2 lease id  3 most tasks to move, but for the last bundle  4 error for tasks without attempts left, as JSON
-- Output { 'alive' } the lease was renewed in the meantime
--        { 'recovered', tasks put back, tasks that died, names still in the lease }
-- Atomic A task leaves the lease and enters a list in the same step. After it the old holder can neither
--        complete nor fail the task: its lease set no longer has the id. What one call leaves in the lease comes before what it
--        has put back, so tasks of one producer stand in the order of their enqueue after the last call.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local nowText = string.format('%.0f', now)
local expiry = redis.call('ZSCORE', KEYS[6], ARGV[2])
if expiry and tonumber(expiry) > now then
  return { 'alive' }
end

local back, died = 0, 0

local function recoverTask(id)
  local record = redis.call('HGET', KEYS[4], id)
  -- Removed while it was held.
  if not record then
    return
  end
  local attempts = redis.call('HINCRBY', KEYS[5], id, 1)
  local level, most = string.match(record, '^(%d)(%d+)k?|')
  if level and attempts < tonumber(most) then
    makeReady('LPUSH', id, record)
    back = back + 1
  elseif redis.call('ZADD', KEYS[8], nowText, id) == 1 then
    redis.call('HSET', KEYS[9], id, ARGV[4])
    died = died + 1
  end
end

-- More than a fetch hands out.
local names = redis.call('SRANDMEMBER', KEYS[10], 1000)
sortByEnqueued(names)
local moved = 0
for i = #names, 1, -1 do
  if moved >= tonumber(ARGV[3]) then
    break
  end
  local name = names[i]
  local size = sizeOf(name)
  moved = moved + size
  redis.call('SREM', KEYS[10], name)
  if size > 1 then
    redis.call('HINCRBY', KEYS[11], 'active', 1 - size)
    -- Each has attempts of its own from here on; some may have been removed.
    local ids = takeApart(KEYS[4], name)
    for i = #ids, 1, -1 do
      recoverTask(ids[i])
    end
  else
    recoverTask(name)
  end
end
local left = redis.call('SCARD', KEYS[10])
if left == 0 then
  redis.call('ZREM', KEYS[6], ARGV[2])
end
if back > 0 then
  redis.call('HINCRBY', KEYS[7], 'recovered', back)
end
if died > 0 then
  redis.call('HINCRBY', KEYS[7], 'dead', died)
end
wake(ARGV[1])
return { 'recovered', back, died, left }
