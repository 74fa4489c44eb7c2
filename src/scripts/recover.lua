-- Puts the tasks of a lease that has run out back at the head of their lists, counting an attempt.
-- Uses   bundle, ready
-- Flags allow-oom
-- KEYS   1-3 ready lists (high, medium, low)  4 tasks  5 attempts  6 leases  7 counters  8 dead  9 errors
--        10 set of the lease  11 bundled  last never
-- ARGV   1 wake channel  2 lease id  3 most tasks to move  4 error for tasks without attempts left, as JSON
-- Output { 'alive' } the lease was renewed in the meantime
--        { 'recovered', tasks put back, tasks that died, tasks still in the lease }
-- Atomic A task leaves the lease and enters a list in the same step. After it the old holder can neither
--        complete nor fail the task: its lease set no longer has the id.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local expiry = redis.call('ZSCORE', KEYS[6], ARGV[2])
if expiry and tonumber(expiry) > now then
  return { 'alive' }
end
local moved, back, died, apart = 0, 0, 0, 0
while moved < tonumber(ARGV[3]) do
  local name = redis.call('SPOP', KEYS[10])
  if not name then
    break
  end
  local size = sizeOf(name)
  moved = moved + size
  apart = apart + size - 1
  -- Each has attempts of its own from here on.
  local ids = size > 1 and takeApart(KEYS[4], name) or { name }
  for i = #ids, 1, -1 do
    local id = ids[i]
    local record = redis.call('HGET', KEYS[4], id)
    if record then
      local attempts = redis.call('HINCRBY', KEYS[5], id, 1)
      local level, most = string.match(record, '^(%d)(%d+)k?|')
      if level and attempts < tonumber(most) then
        makeReady('LPUSH', id, record)
        back = back + 1
      else
        redis.call('ZADD', KEYS[8], string.format('%.0f', now), id)
        redis.call('HSET', KEYS[9], id, ARGV[4])
        died = died + 1
      end
    end
  end
end
if apart > 0 then
  redis.call('HINCRBY', KEYS[11], 'active', -apart)
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
