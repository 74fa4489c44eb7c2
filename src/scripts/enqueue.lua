-- Stores a batch of tasks of one producer.
-- Uses   bundle, strings
-- KEYS   1-3 ready lists (high, medium, low)  4 tasks  5 scheduled  6 producer  7 counters  8 bundled
--        9.. one per task with an idempotency key  last never
-- ARGV   1 wake channel  2 batch number; 0 only asks  3 ms to remember the batch number  4 ms to remember idempotency keys
--        5,6  7,8  9,10 the tasks and bundles for each ready list: id, record, id, record, ... and how many strings that are
--        11,12 the scheduled tasks: id, record, delay in ms, ... and how many strings
--        13,14 the ids of the tasks with an idempotency key, in the order of their KEYS, and how many
--        15 stamp of the batch (queue/stamps.ts)
--        16,17 tasks that the producer has sent elsewhere, and that no replica has confirmed in time; mostly absent
--        Strings come as one argument, each ended by a NUL (strings.ts).
-- Output { 'stored' | 'repeat', the producer's batch number before (0: none is remembered), the stamp of that batch,
--          id asked, id that was there before, ... }
--        { 'clash', number before, its stamp, names that are there already, ... }: nothing was stored
-- Atomic All tasks are stored or none. The producer key holds "<number> <stamp>" of the last batch. A number above it is new.
--        The same number with the same stamp was stored before and changes nothing. Anything else comes of another producer that
--        believes to be this one (a process that was cloned with all its memory): clash. So does a name that has a record
--        here already: it is never written over, whoever wrote it. What a clash means for each task only its producer knows:
--        one that it stores again (recent.ts), or that an earlier try may have stored, counts as stored.
--        Of a bundle only the name is looked for, not what it may have been taken apart into.
--        PEXPIRE or SET of the producer key is a write also where nothing is stored, on purpose: a WAIT after it covers what
--        was stored before, even on a new connection.
local seq, stamp = tonumber(ARGV[2]), ARGV[15]

-- Before all else, since it is told once, whether or not the tasks are a repeat; a master whose memory is full may refuse it.
if ARGV[16] then
  redis.pcall('HINCRBY', KEYS[7], 'rerouted', ARGV[16])
  redis.pcall('HINCRBY', KEYS[7], 'unconfirmed', ARGV[17])
end

local once = strings(ARGV[13], tonumber(ARGV[14]))
local last, lastStamp = string.match(redis.call('GET', KEYS[6]) or '0', '^(%d+) ?(.*)$')
last = tonumber(last)
if seq <= last or seq == 0 then
  redis.call('PEXPIRE', KEYS[6], ARGV[3])
  if seq > 0 and (seq < last or stamp ~= lastStamp) then
    return { 'clash', last, lastStamp }
  end
  local out = { 'repeat', last, lastStamp }
  for i, id in ipairs(once) do
    local before = redis.call('GET', KEYS[8 + i])
    if before and before ~= id then
      out[#out + 1] = id
      out[#out + 1] = before
    end
  end
  return out
end

local names, lists = {}, {}
local function note(entries, step)
  local count = #names
  for i = 1, #entries, step do
    count = count + 1
    names[count] = entries[i]
  end
end
for level = 1, 3 do
  local at = 3 + 2 * level
  if ARGV[at] ~= '' then
    lists[level] = strings(ARGV[at], tonumber(ARGV[at + 1]))
    note(lists[level], 2)
  end
end
local scheduled = ARGV[11] ~= '' and strings(ARGV[11], tonumber(ARGV[12]))
if scheduled then
  note(scheduled, 3)
end
if #names > 0 then
  local found = redis.call('HMGET', KEYS[4], unpack(names))
  local there = {}
  for i = 1, #names do
    if found[i] then
      there[#there + 1] = names[i]
    end
  end
  if #there > 0 then
    if last > 0 then
      redis.call('PEXPIRE', KEYS[6], ARGV[3])
    else
      redis.call('SET', KEYS[6], '0', 'PX', ARGV[3])
    end
    return { 'clash', last, lastStamp, unpack(there) }
  end
end

redis.call('SET', KEYS[6], ARGV[2] .. ' ' .. stamp, 'PX', ARGV[3])

local out = { 'stored', last, lastStamp }
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

if skip then
  for level = 1, 3 do
    local kept = {}
    for i = 1, #(lists[level] or kept), 2 do
      if not skip[lists[level][i]] then
        kept[#kept + 1] = lists[level][i]
        kept[#kept + 1] = lists[level][i + 1]
      end
    end
    lists[level] = kept
  end
end

-- Of the names for a list, those that have not stood before in these arguments.
local function firstOf(level)
  local seen, out = {}, {}
  for before = 1, level do
    for i = 1, #(lists[before] or out), 2 do
      local name = lists[before][i]
      if before == level and not seen[name] then
        out[#out + 1] = name
      end
      seen[name] = true
    end
  end
  return out
end

local stored = 0
local woken = ''
for level = 1, 3 do
  local records = lists[level]
  if records and #records > 0 then
    local ids, count = {}, 0
    for i = 1, #records, 2 do
      count = count + 1
      ids[count] = records[i]
    end
    -- None was there, so fewer new ones than names tell of one that stands twice. It is stored once.
    if redis.call('HSET', KEYS[4], unpack(records)) < count then
      ids = firstOf(level)
      count = #ids
    end
    if count > 0 then
      local tasks = 0
      for i = 1, count do
        tasks = tasks + sizeOf(ids[i])
      end
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

if scheduled then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local earliest = nil
  for i = 1, #scheduled, 3 do
    local id = scheduled[i]
    if not (skip and skip[id]) and redis.call('HSET', KEYS[4], id, scheduled[i + 1]) == 1 then
      local due = now + tonumber(scheduled[i + 2])
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
