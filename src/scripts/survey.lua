-- Tells how a partition stands, for those who watch it. Changes nothing.
-- Uses   counts
-- KEYS   1-3 ready lists (high, medium, low)  4 tasks  5 scheduled  6 leases  7 dead  8 bundled  9 counters  10 paused  last never
-- ARGV   1 what the keys of the leases' sets begin with; they are in the slot of all others, and only known here
--        2 most leases that are counted out  3 wake channel
-- Output { ready, active, scheduled, dead, ages, overdue, paused, consumers, counters }
--        ready      tasks in each list
--        active     tasks under a lease; beyond so many leases, as many for each as those have on average
--        ages       of the next task of each list, ms since it was enqueued; -1 for none
--        overdue    ms since the first scheduled task was due; 0 if it is not, or there is none
--        consumers  who listens to the wake channel
--        counters   name, value, ...
-- Atomic One consistent look.
-- Memory Reads only.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local beyond = beyondNames(KEYS[8])

-- The head of a list may be without a record (void.lua), but seldom many.
local function ageOf(list)
  for _, name in ipairs(redis.call('LRANGE', list, 0, 9)) do
    local record = redis.call('HGET', KEYS[4], name)
    if record then
      -- Without what is escaped, the type is all between two quotes; it has 200 characters at most.
      local head = string.gsub(string.sub(record, 1, 2000), '\\.', '')
      local enqueued = string.match(head, '^%d+k?|%["[^"]*",(%d+)')
      return enqueued and math.max(0, now - enqueued) or -1
    end
  end
  return -1
end

local ready, ages = {}, {}
for level = 1, 3 do
  ready[level] = readyIn(KEYS[level], level, beyond)
  ages[level] = ageOf(KEYS[level])
end

local most = tonumber(ARGV[2])
local active, leases = heldUnder(KEYS[6], ARGV[1], most), redis.call('ZCARD', KEYS[6])
if leases > most then
  active = active * leases / most
end

local due = redis.call('ZRANGE', KEYS[5], 0, 0, 'WITHSCORES')[2]
return {
  ready,
  active + (beyond[4] or 0),
  redis.call('ZCARD', KEYS[5]),
  redis.call('ZCARD', KEYS[7]),
  ages,
  due and math.max(0, now - due) or 0,
  redis.call('EXISTS', KEYS[10]),
  redis.call('PUBSUB', 'SHARDNUMSUB', ARGV[3])[2],
  redis.call('HGETALL', KEYS[9]),
}
