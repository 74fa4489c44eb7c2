-- Stores a batch of tasks of one producer.
-- KEYS   1-3 ready lists (high, medium, low)  4 tasks  5 scheduled  6 producer  7 counters
--        8.. one per task with an idempotency key
-- ARGV   1 wake channel  2 batch number  3 ms to remember the batch number  4 ms to remember idempotency keys
--        5-7 number of tasks for each ready list  8 number of scheduled tasks  9 number of idempotency keys
--        then the ready tasks, list by list: id, record
--        then the scheduled tasks: id, record, delay in ms
--        then the ids of the tasks with an idempotency key, in the order of their KEYS
-- Output { 'stored' | 'repeat', the producer's batch number before (0: none is remembered),
--          id asked, id that was there before, ... }
-- Atomic All tasks are stored or none. A batch number that is not above the producer's last one was stored
--        before and changes nothing; its PEXPIRE is a write on purpose, so that a WAIT after it covers the
--        first copy even on a new connection.
local seq = tonumber(ARGV[2])
local onceCount = tonumber(ARGV[9])
local readyTotal = ARGV[5] + ARGV[6] + ARGV[7]
local scheduledCount = tonumber(ARGV[8])
local firstScheduled = 10 + 2 * readyTotal
local firstOnce = firstScheduled + 3 * scheduledCount

local last = tonumber(redis.call('GET', KEYS[6]) or '0')
if last >= seq then
  redis.call('PEXPIRE', KEYS[6], ARGV[3])
  local out = { 'repeat', last }
  for i = 1, onceCount do
    local id, before = ARGV[firstOnce + i - 1], redis.call('GET', KEYS[7 + i])
    if before and before ~= id then
      out[#out + 1] = id
      out[#out + 1] = before
    end
  end
  return out
end
redis.call('SET', KEYS[6], seq, 'PX', ARGV[3])

local out = { 'stored', last }
local skip = nil
for i = 1, onceCount do
  local id = ARGV[firstOnce + i - 1]
  local before = redis.call('SET', KEYS[7 + i], id, 'NX', 'GET', 'PX', ARGV[4])
  if before and before ~= id then
    skip = skip or {}
    skip[id] = true
    out[#out + 1] = id
    out[#out + 1] = before
  end
end

local stored = 0
local woken = ''
local at = 10
for level = 1, 3 do
  local count = tonumber(ARGV[4 + level])
  if count > 0 then
    local ids, pairsToSet = {}, nil
    if skip then
      pairsToSet = {}
    end
    for i = at, at + 2 * count - 2, 2 do
      local id = ARGV[i]
      if not skip then
        ids[#ids + 1] = id
      elseif not skip[id] then
        ids[#ids + 1] = id
        pairsToSet[#pairsToSet + 1] = id
        pairsToSet[#pairsToSet + 1] = ARGV[i + 1]
      end
    end
    if #ids > 0 then
      if pairsToSet then
        redis.call('HSET', KEYS[4], unpack(pairsToSet))
      else
        redis.call('HSET', KEYS[4], unpack(ARGV, at, at + 2 * count - 1))
      end
      if redis.call('RPUSH', KEYS[level], unpack(ids)) == #ids then
        woken = woken .. (level - 1)
      end
      stored = stored + #ids
    end
    at = at + 2 * count
  end
end

if scheduledCount > 0 then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local earliest = nil
  for i = firstScheduled, firstOnce - 3, 3 do
    local id = ARGV[i]
    if not (skip and skip[id]) then
      local due = now + tonumber(ARGV[i + 2])
      redis.call('HSET', KEYS[4], id, ARGV[i + 1])
      redis.call('ZADD', KEYS[5], string.format('%.0f', due), id)
      earliest = math.min(earliest or due, due)
      stored = stored + 1
    end
  end
  local head = redis.call('ZRANGE', KEYS[5], 0, 0, 'WITHSCORES')
  if earliest and tonumber(head[2]) >= earliest then
    woken = woken .. 's'
  end
end

if stored > 0 then
  redis.call('HINCRBY', KEYS[7], 'enqueued', stored)
end
if woken ~= '' then
  redis.call('SPUBLISH', ARGV[1], woken)
end
return out
