-- Makes sure that a lease still has tasks which its holder has been given, after a break with the master.
-- Flags allow-oom
-- Memory The entry of a lease; a name leaves its list before it enters the lease.
-- KEYS   1-3 ready lists (high, medium, low)  4 tasks  5 attempts  6 leases  7 set of the lease  last never
-- ARGV   1 lease id  2 ms from now until it runs out  3 entries to look at, at each end of a ready list
--        4.. id of a task, attempts that it had used up when it was handed out, ...
-- Output a number for each task: 1 held, 0 lost, 2 not there
-- Atomic A task leaves its ready list and enters the lease in the same step. It is taken only if nothing has happened to it since it
--        was handed out: what was failed, recovered or retried meanwhile has other attempts, or is in no ready list.
-- A master that has lost its last writes has the task where it was, near the head of its list; or near the end, where its producer
-- has put it back.
local out, missing = {}, {}
for i = 4, #ARGV, 2 do
  local id, at = ARGV[i], (i - 2) / 2
  if redis.call('SISMEMBER', KEYS[7], id) == 1 then
    out[at] = 1
  else
    local record = redis.call('HGET', KEYS[4], id)
    out[at] = record and 0 or 2
    local level = record and string.match(record, '^[012]')
    if level and tonumber(redis.call('HGET', KEYS[5], id) or '0') == tonumber(ARGV[i + 1]) then
      missing[level] = missing[level] or {}
      missing[level][id] = at
    end
  end
end

for level, ids in pairs(missing) do
  local list = KEYS[level + 1]
  for _, part in ipairs({ { 0, ARGV[3] - 1, 1 }, { -ARGV[3], -1, -1 } }) do
    for _, id in ipairs(redis.call('LRANGE', list, part[1], part[2])) do
      if ids[id] then
        redis.call('LREM', list, part[3], id)
        redis.call('SADD', KEYS[7], id)
        out[ids[id]] = 1
        ids[id] = nil
      end
    end
  end
end

for _, held in ipairs(out) do
  if held == 1 then
    local time = redis.call('TIME')
    local expiry = time[1] * 1000 + math.floor(time[2] / 1000) + tonumber(ARGV[2])
    redis.call('ZADD', KEYS[6], 'GT', string.format('%.0f', expiry), ARGV[1])
    break
  end
end
return out
