-- Stores a batch of tasks of one producer.
-- Uses   bundle, strings
-- KEYS   1-3 ready lists (high, medium, low)  4 tasks  5 scheduled  6 producer  7 counters  8 bundled
--        9.. one per task with an idempotency key  last never
-- ARGV   1 wake channel  2 batch number  3 ms to remember the batch number  4 ms to remember idempotency keys
--        5,6  7,8  9,10 the tasks and bundles for each ready list: id, record, id, record, ... and how many strings that are
--        11,12 the scheduled tasks: id, record, delay in ms, ... and how many strings
--        13,14 the ids of the tasks with an idempotency key, in the order of their KEYS, and how many
--        15,16 tasks that the producer has sent elsewhere, and that no replica has confirmed in time; mostly absent
--        Strings come as one argument, each ended by a NUL (strings.ts).
-- Output { 'stored' | 'repeat', the producer's batch number before (0: none is remembered),
--          id asked, id that was there before, ... }
-- Atomic All tasks are stored or none. A batch number that is not above the producer's last one was stored
--        before and changes nothing; its PEXPIRE is a write on purpose, so that a WAIT after it covers the
--        first copy even on a new connection.
local seq = tonumber(ARGV[2])

-- Before all else, since it is told once, whether or not the tasks are a repeat; a master whose memory is full may refuse it.
if ARGV[15] then
  redis.pcall('HINCRBY', KEYS[7], 'rerouted', ARGV[15])
  redis.pcall('HINCRBY', KEYS[7], 'unconfirmed', ARGV[16])
end

local once = strings(ARGV[13], tonumber(ARGV[14]))
local last = tonumber(redis.call('GET', KEYS[6]) or '0')
if last >= seq then
  redis.call('PEXPIRE', KEYS[6], ARGV[3])
  local out = { 'repeat', last }
  for i, id in ipairs(once) do
    local before = redis.call('GET', KEYS[8 + i])
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
for i, id in ipairs(once) do
  local before = redis.call('SET', KEYS[8 + i], id, 'NX', 'GET', 'PX', ARGV[4])
  if before and before ~= id then
    skip = skip or {}
    skip[id] = true
    out[#out + 1] = id
    out[#out + 1] = before
  end
end

local stored = 0
local woken = ''
for level = 1, 3 do
  local at = 3 + 2 * level
  if ARGV[at] ~= '' then
    local records = strings(ARGV[at], tonumber(ARGV[at + 1]))
    local ids, count, tasks = {}, 0, 0
    if skip then
      local kept = {}
      for i = 1, #records, 2 do
        if not skip[records[i]] then
          kept[#kept + 1] = records[i]
          kept[#kept + 1] = records[i + 1]
        end
      end
      records = kept
    end
    for i = 1, #records, 2 do
      count = count + 1
      ids[count] = records[i]
      tasks = tasks + sizeOf(records[i])
    end
    if count > 0 then
      redis.call('HSET', KEYS[4], unpack(records))
      if redis.call('RPUSH', KEYS[level], unpack(ids)) == count then
        woken = woken .. (level - 1)
      end
      if tasks > count then
        redis.call('HINCRBY', KEYS[8], level - 1, tasks - count)
      end
      stored = stored + tasks
    end
  end
end

if ARGV[11] ~= '' then
  local scheduled = strings(ARGV[11], tonumber(ARGV[12]))
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local earliest = nil
  for i = 1, #scheduled, 3 do
    local id = scheduled[i]
    if not (skip and skip[id]) then
      local due = now + tonumber(scheduled[i + 2])
      redis.call('HSET', KEYS[4], id, scheduled[i + 1])
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
