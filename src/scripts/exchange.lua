-- Acknowledges completed tasks and hands out the next ones, in one call.
-- Uses   bundle, memory, outlook, strings
-- KEYS   1-3 ready lists (high, medium, low)  4 tasks  5 attempts  6 scheduled  7 leases  8 paused  9 counters
--        10 checkpoints  11 results  12 result expiry  13 bundled  14 set of the new lease
--        15.. sets of the leases that tasks are acknowledged under  last never
-- ARGV   1 new lease id  2 lease in ms  3 tasks wanted  4 levels to take from, as '0', '01', '12', ...
--        5 tasks for which bundles are taken apart, if there is no other way to hand out so many
--        6 ms to keep results, 0 for not at all  7 most bytes of records that are handed out; the first one goes in any case
--        8 counters that grow, and by how much: 'wait:3 12 wait:sum 40'
--        then for each acknowledged lease: its id, how many ids and names of bundles, these, and the results (read only
--        if results are kept; '' for one that is not known any more, and that is not kept); each of the two as one argument, every
--        string of it ended by a NUL (strings.ts)
--        A name may stand twice in all of these, and a task beside its bundle.
-- Output { acknowledgements, names, records, attempts, outlook }
--        acknowledgements  a digit each: 1 completed by this call, 0 held by someone else, 2 no longer there, 3 a bundle that
--                          is not held as a whole: its tasks are to be acknowledged one by one. Also 1, but not counted: a
--                          task that is held and was voided meanwhile, so that there is nothing left to complete
--        names, records    of the tasks and bundles that are handed out; the record of a bundle has a line for each task.
--                          None if there is a lease of this id already: two processes of one snapshot may choose the same
--        attempts          that each has used up, or nil; empty if none has
--        outlook           see shared/outlook.lua
-- Atomic A task leaves its lease and its record in the same step; a task that leaves a ready list is in the new
--        lease in the same step. Only the holder of the lease can acknowledge (fencing).
-- Memory Runs while memory is full: the first write to each key that grows comes after one that frees. What is handed out only
--        changes places. A result takes the place of its record; if it has more than 1 KiB, it is not kept then.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local keep = tonumber(ARGV[6])
local mostResult = keep > 0 and #KEYS > 15 and memoryIsFull(KEYS[#KEYS]) and 1024 or math.huge

local function keepResult(id, result)
  local record = redis.call('HGET', KEYS[4], id)
  if not record or result == '' or #result > mostResult then
    return
  end
  local attempts = redis.call('HGET', KEYS[5], id) or '0'
  local kept = string.format('%.0f %s %d ', now, attempts, #result) .. result .. record
  redis.call('HSET', KEYS[11], id, kept)
  redis.call('ZADD', KEYS[12], string.format('%.0f', now + keep), id)
end

local acknowledgements, entries = {}, 0
local completed = 0
-- Bundle -> the set that it was completed under by this call.
local wholes = {}
-- Lists of all names that this call has completed.
local ended = {}

-- Ends what was found to be held; `beyond` is how many tasks these names stand for beyond one each. Bundles stand here once, and
-- have their record; how many of the tasks had theirs, and were here for the first time, the server counts.
local function finish(group, names, count, beyond)
  local set = KEYS[14 + group]
  if count > 0 then
    completed = completed + beyond + redis.call('HDEL', KEYS[4], unpack(names))
    ended[#ended + 1] = names
    for _, key in ipairs({ KEYS[5], KEYS[10] }) do
      if redis.call('EXISTS', key) == 1 then
        redis.call('HDEL', key, unpack(idsOf(names)))
      end
    end
    redis.call('SREM', set, unpack(names))
    if beyond > 0 then
      redis.call('HINCRBY', KEYS[13], 'active', -beyond)
    end
  end
  if redis.call('EXISTS', set) == 0 then
    redis.call('ZREM', KEYS[7], ARGV[5 + 4 * group])
  end
end

-- Tasks that may be held as one of a bundle. They come last, since they take it apart; were it acknowledged as well, it would
-- not be there as a whole any more.
local later = {}
for group = 1, #KEYS - 15 do
  local at = 5 + 4 * group
  local total, set = tonumber(ARGV[at + 1]), KEYS[14 + group]
  local names = strings(ARGV[at + 2], total)
  local results = keep > 0 and strings(ARGV[at + 3], total)
  local held = redis.call('SMISMEMBER', set, unpack(names))
  local mine, count, beyond = {}, 0, 0
  local rest = nil
  for i = 1, total do
    local name = names[i]
    local size = sizeOf(name)
    entries = entries + 1
    if wholes[name] then
      acknowledgements[entries] = '1'
      -- It was handed out twice; the other lease has nothing more to wait for.
      if held[i] == 1 and wholes[name] ~= set and redis.call('SREM', set, name) == 1 then
        redis.call('HINCRBY', KEYS[13], 'active', 1 - size)
      end
    elseif size > 1 and (held[i] == 0 or results) then
      acknowledgements[entries] = '3'
    elseif held[i] == 0 then
      rest = rest or { group = group, names = {}, entries = {}, results = {} }
      local place = #rest.names + 1
      rest.names[place], rest.entries[place], rest.results[place] = name, entries, results and results[i]
    elseif size > 1 and redis.call('HEXISTS', KEYS[4], name) == 0 then
      -- Taken apart by void.lua, which leaves the name here for those that stay.
      acknowledgements[entries] = '3'
    else
      acknowledgements[entries] = '1'
      count = count + 1
      mine[count] = name
      if size > 1 then
        wholes[name] = set
        beyond = beyond + size - 1
      elseif results then
        keepResult(name, results[i])
      end
    end
  end
  finish(group, mine, count, beyond)
  if rest then
    later[#later + 1] = rest
  end
end

local done = {}
if #later > 0 then
  for _, names in ipairs(ended) do
    for _, name in ipairs(names) do
      done[name] = true
    end
  end
end
for _, rest in ipairs(later) do
  local set = KEYS[14 + rest.group]
  local mine, count = {}, 0
  for i, name in ipairs(rest.names) do
    local bundle = bundleOf(name)
    local answer = '1'
    if done[name] or (bundle and done[bundle]) then
      answer = '1'
    elseif holds(set, name, KEYS[4], KEYS[13]) then
      done[name] = true
      count = count + 1
      mine[count] = name
      if rest.results[i] then
        keepResult(name, rest.results[i])
      end
    else
      answer = exists(KEYS[4], name) and '0' or '2'
    end
    acknowledgements[rest.entries[i]] = answer
  end
  finish(rest.group, mine, count, 0)
end
if completed > 0 then
  redis.call('HINCRBY', KEYS[9], 'completed', completed)
end

local wanted, least, room = tonumber(ARGV[3]), tonumber(ARGV[5]), tonumber(ARGV[7])
local taken, records, attempts = {}, {}, {}
local count, delivered, bytes = 0, 0, 0
-- Tasks taken and names dropped: so a list of names without records does not hold the master for long either.
local asked = 0

-- Puts the tasks of a bundle in its place at the head of a list.
local function openHead(list, level, name)
  redis.call('LPOP', list)
  redis.call('HINCRBY', KEYS[13], level, 1 - sizeOf(name))
  local ids = takeApart(KEYS[4], name)
  local backwards = {}
  for i = #ids, 1, -1 do
    backwards[#backwards + 1] = ids[i]
  end
  if #ids > 0 then
    redis.call('LPUSH', list, unpack(backwards))
  end
  return #ids
end

-- Takes from the head of a list; true if the next one has to stay there.
local function pop(level)
  local list = KEYS[level + 1]
  local read = 16
  while asked < wanted do
    local names = redis.call('LRANGE', list, 0, math.min(wanted - asked, read) - 1)
    -- As many as make a full fetch of bundles, then more.
    read = 128
    if not names[1] then
      return false
    end
    local passed, beyond = 0, 0
    local open, stays = nil, false
    for _, name in ipairs(names) do
      local size = sizeOf(name)
      -- One by one, so that of those that do not fit one is read and no more: it may be a thousand times as large as those before.
      local record = redis.call('HGET', KEYS[4], name)
      if not record then
        -- It was voided or removed after it became ready: dropped here, where it costs O(1).
        if size > 1 then
          -- Of a bundle that was taken apart elsewhere some may be left.
          open = name
          break
        end
        asked = asked + 1
      elseif count > 0 and bytes + #record > room then
        stays = true
        break
      elseif size > wanted - asked then
        if asked < least then
          open = name
        else
          stays = true
        end
        break
      else
        count = count + 1
        taken[count] = name
        records[count] = record
        bytes = bytes + #record
        delivered = delivered + size
        asked = asked + size
      end
      passed = passed + 1
      beyond = beyond + size - 1
      if asked >= wanted then
        break
      elseif bytes >= room then
        stays = true
        break
      end
    end
    if passed > 0 then
      redis.call('LTRIM', list, passed, -1)
    end
    if beyond > 0 then
      redis.call('HINCRBY', KEYS[13], level, -beyond)
    end
    if stays then
      return true
    elseif open and openHead(list, level, open) == 0 then
      asked = asked + 1
    end
  end
  return false
end

if wanted > 0 and redis.call('EXISTS', KEYS[8]) == 0 and not redis.call('ZSCORE', KEYS[7], ARGV[1]) then
  for level in string.gmatch(ARGV[4], '%d') do
    if pop(level) then
      break
    end
  end
end

-- A name that stood in a list twice was taken twice, and is handed out once.
local function dropRepeated()
  local names, texts, seen = taken, records, {}
  taken, records, count, delivered = {}, {}, 0, 0
  for i, name in ipairs(names) do
    if not seen[name] then
      seen[name] = true
      count = count + 1
      taken[count], records[count] = name, texts[i]
      delivered = delivered + sizeOf(name)
    end
  end
end

if count > 0 then
  if redis.call('SADD', KEYS[14], unpack(taken)) < count then
    dropRepeated()
  end
  if redis.call('EXISTS', KEYS[5]) == 1 then
    attempts = redis.call('HMGET', KEYS[5], unpack(taken))
  end
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
