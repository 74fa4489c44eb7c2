-- Acknowledges completed tasks and hands out the next ones, in one call.
-- Uses   bundle, outlook, strings
-- KEYS   1-3 ready lists (high, medium, low)  4 tasks  5 attempts  6 scheduled  7 leases  8 paused  9 counters
--        10 checkpoints  11 results  12 result expiry  13 bundled  14 set of the new lease
--        15.. sets of the leases that tasks are acknowledged under  last never
-- ARGV   1 new lease id  2 lease in ms  3 tasks wanted  4 levels to take from, as '0', '01', '12', ...
--        5 tasks for which bundles are taken apart, if there is no other way to hand out so many
--        6 ms to keep results, 0 for not at all  7 bytes of records after which no more are handed out
--        8 counters that grow, and by how much: 'wait:3 12 wait:sum 40'
--        then for each acknowledged lease: its id, how many ids and names of bundles, these, and the results (read only
--        if results are kept); each of the two as one argument, every string of it ended by a NUL (strings.ts)
-- Output { acknowledgements, names, records, attempts, outlook }
--        acknowledgements  a digit each: 1 completed, 0 held by someone else, 2 no longer there, 3 a bundle that is not
--                          held as a whole: its tasks are to be acknowledged one by one
--        names, records    of the tasks and bundles that are handed out; the record of a bundle has a line for each task
--        attempts          that each has used up, or nil; empty if none has
--        outlook           see shared/outlook.lua
-- Atomic A task leaves its lease and its record in the same step; a task that leaves a ready list is in the new
--        lease in the same step. Only the holder of the lease can acknowledge (fencing).
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local keep = tonumber(ARGV[6])

local function keepResult(id, result)
  local record = redis.call('HGET', KEYS[4], id)
  if record then
    local attempts = redis.call('HGET', KEYS[5], id) or '0'
    local kept = string.format('%.0f %s %d ', now, attempts, #result) .. result .. record
    redis.call('HSET', KEYS[11], id, kept)
    redis.call('ZADD', KEYS[12], string.format('%.0f', now + keep), id)
  end
end

local acknowledgements, settled = {}, 0
local completed = 0
for group = 1, #KEYS - 15 do
  local at = 5 + 4 * group
  local leaseId, total, set = ARGV[at], tonumber(ARGV[at + 1]), KEYS[14 + group]
  local names = strings(ARGV[at + 2], total)
  local results = keep > 0 and strings(ARGV[at + 3], total)
  local held = redis.call('SMISMEMBER', set, unpack(names))
  local mine, count, tasks = {}, 0, 0
  for i = 1, total do
    local name, size = names[i], sizeOf(names[i])
    settled = settled + 1
    if size > 1 and (held[i] == 0 or results or redis.call('HEXISTS', KEYS[4], name) == 0) then
      acknowledgements[settled] = '3'
    elseif held[i] == 1 or holds(set, name, KEYS[4], KEYS[13]) then
      count = count + 1
      mine[count] = name
      tasks = tasks + size
      acknowledgements[settled] = '1'
      if results then
        keepResult(name, results[i])
      end
    else
      acknowledgements[settled] = exists(KEYS[4], name) and '0' or '2'
    end
  end
  if count > 0 then
    redis.call('HDEL', KEYS[4], unpack(mine))
    for _, key in ipairs({ KEYS[5], KEYS[10] }) do
      if redis.call('EXISTS', key) == 1 then
        redis.call('HDEL', key, unpack(idsOf(mine)))
      end
    end
    -- Mostly all tasks of a lease are completed together.
    if redis.call('SCARD', set) == count then
      redis.call('DEL', set)
      redis.call('ZREM', KEYS[7], leaseId)
    else
      redis.call('SREM', set, unpack(mine))
    end
    if tasks > count then
      redis.call('HINCRBY', KEYS[13], 'active', count - tasks)
    end
    completed = completed + tasks
  end
end
if completed > 0 then
  redis.call('HINCRBY', KEYS[9], 'completed', completed)
end

local wanted, least, room = tonumber(ARGV[3]), tonumber(ARGV[5]), tonumber(ARGV[7])
local taken, records, attempts = {}, {}, {}
local count, delivered, bytes = 0, 0, 0

local function take(name, record)
  count = count + 1
  taken[count] = name
  records[count] = record
  delivered = delivered + sizeOf(name)
  bytes = bytes + #record
end

-- One without a record was voided or removed after it became ready: dropped here, where it costs O(1). Of a bundle some may
-- be left.
local function takeAll(names)
  local found = redis.call('HMGET', KEYS[4], unpack(names))
  for i, name in ipairs(names) do
    if found[i] then
      take(name, found[i])
    elseif sizeOf(name) > 1 then
      for _, id in ipairs(takeApart(KEYS[4], name)) do
        take(id, redis.call('HGET', KEYS[4], id))
      end
    end
  end
end

-- How many to read next so that `room` is not much exceeded, by the size of those before.
local function entriesWithin()
  return count == 0 and 8 or math.max(1, math.floor((room - bytes) / (bytes / count)))
end

local asked = 0
-- Takes from the head of a list; true if the next one has to stay there.
local function pop(level)
  local list = KEYS[level + 1]
  while asked < wanted do
    local left = wanted - asked
    local some = redis.call('LRANGE', list, 0, math.min(left, entriesWithin()) - 1)
    local head = some[1]
    if not head then
      return false
    end
    local size = sizeOf(head)
    if bytes >= room then
      return true
    elseif size <= left then
      local same = 1
      while some[same + 1] and sizeOf(some[same + 1]) == size and (same + 1) * size <= left do
        same = same + 1
      end
      for i = #some, same + 1, -1 do
        some[i] = nil
      end
      redis.call('LTRIM', list, same, -1)
      asked = asked + same * size
      if size > 1 then
        redis.call('HINCRBY', KEYS[13], level, same * (1 - size))
      end
      takeAll(some)
    elseif asked < least then
      redis.call('LPOP', list)
      redis.call('HINCRBY', KEYS[13], level, 1 - size)
      local ids = takeApart(KEYS[4], head)
      for i = #ids, 1, -1 do
        redis.call('LPUSH', list, ids[i])
      end
    else
      return true
    end
  end
  return false
end

if wanted > 0 and redis.call('EXISTS', KEYS[8]) == 0 then
  for level in string.gmatch(ARGV[4], '%d') do
    if pop(level) then
      break
    end
  end
end
if count > 0 then
  if redis.call('EXISTS', KEYS[5]) == 1 then
    attempts = redis.call('HMGET', KEYS[5], unpack(taken))
  end
  redis.call('SADD', KEYS[14], unpack(taken))
  redis.call('ZADD', KEYS[7], string.format('%.0f', now + tonumber(ARGV[2])), ARGV[1])
  redis.call('HINCRBY', KEYS[9], 'delivered', delivered)
  if delivered > count then
    redis.call('HINCRBY', KEYS[13], 'active', delivered - count)
  end
end

-- A master whose memory is full may refuse it, which must not hold up the tasks.
if ARGV[8] ~= '' then
  for name, count in string.gmatch(ARGV[8], '(%S+) (%d+)') do
    redis.pcall('HINCRBY', KEYS[9], name, count)
  end
end

return {
  table.concat(acknowledgements),
  taken,
  records,
  attempts,
  outlook(KEYS, KEYS[6], KEYS[7], KEYS[8], now, KEYS[12]),
}
