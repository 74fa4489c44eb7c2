-- Removes copies of tasks that are, or are to be, elsewhere.
-- Flags allow-oom
-- Uses   bundle
-- KEYS   1-3 ready lists (high, medium, low)  4 tasks  5 attempts  6 checkpoints  7 scheduled  8 dead  9 errors  10 bundled
--        11 counters  12 producer  last never
-- ARGV   1 batch number; 0 to leave the remembered one  2 ms to remember it  3 priority of each of the names, as '0110...'
--        4.. ids of tasks, and names of bundles for all of their tasks
-- Output { the producer's batch number before (0: none is remembered), names that were there and are removed, ... }; of a
--        bundle that has been taken apart the ids. Of the others none was stored, or it has been completed
-- Atomic The copies are removed, and no batch up to this number is stored any more: one of them may still lie in the
--        socket of a master that was frozen, and would bring the copies back. A copy that is being run is not run again,
--        whatever becomes of that run.
--        Names are taken out of the ready list where they stand near its end, as they do soon after they were stored. One that
--        stands elsewhere is dropped when its turn comes (exchange.lua): finding it would cost time that grows with the queue.
--        `voided` counts tasks: what is in `tasks` is what was enqueued, less what was completed, removed and voided.

-- Entries of a list that are looked at for one name, and for all names of a call: less than a millisecond.
local MOST_PER_NAME, MOST_PER_CALL = 600, 10000

local looked = 0
local function dropFromList(level, name)
  local list = KEYS[level + 1]
  local most = math.min(MOST_PER_NAME, MOST_PER_CALL - looked)
  if most < 1 then
    return
  end
  local at = redis.call('LPOS', list, name, 'RANK', -1, 'MAXLEN', most)
  if not at then
    looked = looked + most
    return
  end
  looked = looked + redis.call('LLEN', list) - at
  redis.call('LREM', list, -1, name)
  if sizeOf(name) > 1 then
    redis.call('HINCRBY', KEYS[10], level, 1 - sizeOf(name))
  end
end

local out, voided = { 0 }, 0
local function remove(name)
  if redis.call('HDEL', KEYS[4], name) == 0 then
    return false
  end
  voided = voided + sizeOf(name)
  out[#out + 1] = name
  return true
end

local names = { unpack(ARGV, 4) }
-- From the last to the first: as they stand in the list, each is then at its end.
for i = #names, 1, -1 do
  local name, level = names[i], tonumber(string.sub(ARGV[3], i, i))
  if sizeOf(name) > 1 then
    if remove(name) then
      dropFromList(level, name)
    else
      local left = false
      for _, id in ipairs(membersOf(name)) do
        left = remove(id) or left
      end
      -- It may stand in the list for those that were left of it.
      if left then
        dropFromList(level, name)
      end
    end
  else
    local bundle = bundleOf(name)
    -- Where the bundle's name stands, list or lease, is not known here; it goes on standing for those that stay.
    if bundle and redis.call('HEXISTS', KEYS[4], bundle) == 1 then
      takeApart(KEYS[4], bundle)
    end
    if remove(name) then
      dropFromList(level, name)
    end
  end
end
if #out > 1 then
  local ids = idsOf(names)
  for _, key in ipairs({ KEYS[5], KEYS[6], KEYS[9] }) do
    if redis.call('EXISTS', key) == 1 then
      redis.call('HDEL', key, unpack(ids))
    end
  end
  redis.call('ZREM', KEYS[7], unpack(ids))
  redis.call('ZREM', KEYS[8], unpack(ids))
  redis.call('HINCRBY', KEYS[11], 'voided', voided)
end

out[1] = tonumber(string.match(redis.call('GET', KEYS[12]) or '0', '^%d+'))
if out[1] < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[12], ARGV[1], 'PX', ARGV[2])
end
return out
