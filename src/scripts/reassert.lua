-- Makes sure that leases still have tasks which their holder has been given, after a break with the master.
-- Flags allow-oom
-- Memory The entry of a lease, and the attempts of a task; a name leaves its list before it enters the lease.
-- KEYS   1-3 ready lists (high, medium, low)  4 tasks  5 attempts  6 leases  7 scheduled  8.. sets of the leases  last never
-- ARGV   1 entries to look at, at each end of a ready list  2 number of leases
--        then for each lease: its id, ms from now until it runs out
--        then for each task: its id, attempts that it had used up when it was handed out, the place of its lease among those above,
--        and of leases that the holder had it under before or is about to have it under: '2,3', or ''
-- Output a number for each task: 1 held, 0 lost, 2 not there, 3 unclear: as when it was handed out, but in nobody's hands that the
--        holder knows of, and in no place that is looked at
-- Atomic A task leaves its place and enters the lease in the same step. It is taken only from where it was before it was handed out:
--        what was failed, recovered or retried since has more attempts. With fewer the master has forgotten a failure as well; those
--        that the holder knows of are put in.
-- A master that has lost its last writes has the task where it was: near the head of its list, scheduled, or in a lease before; or
-- where its producer has put it back, near the end of its list or scheduled.
local entries, leases = tonumber(ARGV[1]), tonumber(ARGV[2])
local out, missing, held = {}, {}, {}

local function enter(task)
  redis.call('SADD', KEYS[7 + task.lease], task.id)
  if task.used < task.attempts then
    redis.call('HSET', KEYS[5], task.id, task.attempts)
  end
  held[task.lease] = true
  out[task.at] = 1
end

local function leave(lease, id)
  if redis.call('SREM', KEYS[7 + lease], id) == 0 then
    return false
  end
  if redis.call('EXISTS', KEYS[7 + lease]) == 0 then
    redis.call('ZREM', KEYS[6], ARGV[1 + 2 * lease])
  end
  return true
end

local function isElsewhere(task, others)
  for other in string.gmatch(others, '%d+') do
    if leave(tonumber(other), task.id) then
      return true
    end
  end
  return redis.call('ZREM', KEYS[7], task.id) == 1
end

for i = 3 + 2 * leases, #ARGV, 4 do
  local at = (i + 1 - 2 * leases) / 4
  local task = { id = ARGV[i], attempts = tonumber(ARGV[i + 1]), lease = tonumber(ARGV[i + 2]), at = at }
  if redis.call('SISMEMBER', KEYS[7 + task.lease], task.id) == 1 then
    out[at] = 1
    held[task.lease] = true
  else
    local record = redis.call('HGET', KEYS[4], task.id)
    local level = record and string.match(record, '^[012]')
    task.used = tonumber(redis.call('HGET', KEYS[5], task.id) or '0')
    if not level then
      out[at] = record and 0 or 2
    elseif task.used > task.attempts then
      out[at] = 0
    elseif isElsewhere(task, ARGV[i + 3]) then
      enter(task)
    else
      out[at] = 3
      missing[level] = missing[level] or {}
      missing[level][task.id] = task
    end
  end
end

for level, tasks in pairs(missing) do
  local list = KEYS[level + 1]
  for _, part in ipairs({ { 0, entries - 1, 1 }, { -entries, -1, -1 } }) do
    for _, id in ipairs(redis.call('LRANGE', list, part[1], part[2])) do
      if tasks[id] then
        redis.call('LREM', list, part[3], id)
        enter(tasks[id])
        tasks[id] = nil
      end
    end
  end
end

if next(held) then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  for lease in pairs(held) do
    local expiry = string.format('%.0f', now + tonumber(ARGV[2 + 2 * lease]))
    redis.call('ZADD', KEYS[6], 'GT', expiry, ARGV[1 + 2 * lease])
  end
end
return out
