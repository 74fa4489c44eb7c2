-- Acknowledges completed tasks and hands out the next ones, in one call.
-- KEYS   1-3 ready lists (high, medium, low)  4 tasks  5 attempts  6 scheduled  7 leases  8 paused  9 counters
--        10 checkpoints  11 results  12 result expiry  13 set of the new lease
--        14.. sets of the leases that tasks are acknowledged under
-- ARGV   1 new lease id  2 lease in ms  3 tasks wanted  4 levels to take from, as '0', '01', '12', ...
--        5 ms to keep results, 0 for not at all
--        then for each acknowledged lease: its id, how many tasks, their ids, their results (read only if results are
--        kept); ids and results each as one argument, every string of it ended by a NUL (strings.ts)
-- Output { acknowledgements, ids, records, attempts, outlook }
--        acknowledgements  a digit per id: 1 completed, 0 held by someone else, 2 no longer there
--        ids, records      of what is handed out, as lines
--        attempts          that each has used up, as lines; empty if none has
--        outlook           as in tend.lua
--        Lines end where the next begins, with one newline; neither ids nor records have any.
-- Atomic A task leaves its lease and its record in the same step; a task that leaves a ready list is in the new
--        lease in the same step. Only the holder of the lease can acknowledge (fencing).
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local keep = tonumber(ARGV[5])

local function strings(text, count)
  local out = { struct.unpack(string.rep('s', count), text) }
  -- Where the next one would begin.
  out[count + 1] = nil
  return out
end

local acknowledgements, settled = {}, 0
local completed = 0
for group = 1, #KEYS - 13 do
  local at = 2 + 4 * group
  local leaseId, total, set = ARGV[at], tonumber(ARGV[at + 1]), KEYS[13 + group]
  local ids = strings(ARGV[at + 2], total)
  local results = keep > 0 and strings(ARGV[at + 3], total)
  local held = redis.call('SMISMEMBER', set, unpack(ids))
  local mine, count = {}, 0
  for i = 1, total do
    local id = ids[i]
    settled = settled + 1
    if held[i] == 1 then
      count = count + 1
      mine[count] = id
      acknowledgements[settled] = '1'
      if results then
        local record = redis.call('HGET', KEYS[4], id)
        if record then
          local attempts = redis.call('HGET', KEYS[5], id) or '0'
          local kept = string.format('%.0f %s %d ', now, attempts, #results[i]) .. results[i] .. record
          redis.call('HSET', KEYS[11], id, kept)
          redis.call('ZADD', KEYS[12], string.format('%.0f', now + keep), id)
        end
      end
    else
      acknowledgements[settled] = redis.call('HEXISTS', KEYS[4], id) == 1 and '0' or '2'
    end
  end
  if count > 0 then
    redis.call('HDEL', KEYS[4], unpack(mine))
    for _, key in ipairs({ KEYS[5], KEYS[10] }) do
      if redis.call('EXISTS', key) == 1 then
        redis.call('HDEL', key, unpack(mine))
      end
    end
    -- Mostly all tasks of a lease are completed together.
    if redis.call('SCARD', set) == count then
      redis.call('DEL', set)
      redis.call('ZREM', KEYS[7], leaseId)
    else
      redis.call('SREM', set, unpack(mine))
    end
    completed = completed + count
  end
end
if completed > 0 then
  redis.call('HINCRBY', KEYS[9], 'completed', completed)
end

local taken, records, attempts = {}, {}, {}
local paused = redis.call('EXISTS', KEYS[8])
local wanted = tonumber(ARGV[3])
if wanted > 0 and paused == 0 then
  local ids = {}
  for level in string.gmatch(ARGV[4], '%d') do
    if #ids < wanted then
      local popped = redis.call('LPOP', KEYS[level + 1], wanted - #ids)
      if popped then
        for i = 1, #popped do
          ids[#ids + 1] = popped[i]
        end
      end
    end
  end
  if #ids > 0 then
    local found = redis.call('HMGET', KEYS[4], unpack(ids))
    local used = redis.call('EXISTS', KEYS[5]) == 1 and redis.call('HMGET', KEYS[5], unpack(ids))
    local count = 0
    for i = 1, #ids do
      -- An id without a record was voided or removed after it became ready: dropped here, where it costs O(1).
      if found[i] then
        count = count + 1
        taken[count] = ids[i]
        -- No record of ours has a newline; one that has is none, and must not shift the others.
        records[count] = string.find(found[i], '\n', 1, true) and '' or found[i]
        if used then
          attempts[count] = used[i] or '0'
        end
      end
    end
    if count > 0 then
      redis.call('SADD', KEYS[13], unpack(taken))
      redis.call('ZADD', KEYS[7], string.format('%.0f', now + tonumber(ARGV[2])), ARGV[1])
      redis.call('HINCRBY', KEYS[9], 'delivered', count)
    end
  end
end

local levels = ''
for level = 1, 3 do
  if redis.call('EXISTS', KEYS[level]) == 1 then
    levels = levels .. (level - 1)
  end
end
local due = redis.call('ZRANGE', KEYS[6], 0, 0, 'WITHSCORES')
local lease = redis.call('ZRANGE', KEYS[7], 0, 0, 'WITHSCORES')
return {
  table.concat(acknowledgements),
  table.concat(taken, '\n'),
  table.concat(records, '\n'),
  table.concat(attempts, '\n'),
  { levels, paused, due[2] and math.max(0, due[2] - now) or -1, lease[2] and math.max(0, lease[2] - now) or -1 },
}
