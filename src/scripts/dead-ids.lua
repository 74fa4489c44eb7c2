-- Lists the ids of dead tasks, the latest first, without the tasks. Changes nothing.
-- Uses   dead
-- KEYS   1 dead  2 tasks  last never
-- ARGV   1 time of death, in ms, and 2 id of the task after which to begin; both empty for the latest
--        3 most tasks to look at  4 bytes of records after which no more are looked at: what is done with the ids may read them
--        5 type as JSON, of those that are wanted; empty for all, and then no record is read here
-- Output { time of death and id of the last that was looked at, the ids }; {} if there is none after the cursor
-- Atomic One consistent look.
local rows = deadAfter(KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3]))
local last, ids, bytes = nil, {}, 0
for i = 1, #rows, 2 do
  local id = rows[i]
  last = i
  if ARGV[5] == '' then
    ids[#ids + 1] = id
    bytes = bytes + redis.call('HSTRLEN', KEYS[2], id)
  else
    local record = redis.call('HGET', KEYS[2], id) or ''
    -- What stands before the bar is short, and has none (queue/task.ts).
    local bar = string.find(record, '|', 1, true) or 0
    local wanted = '[' .. ARGV[5] .. ','
    if string.sub(record, bar + 1, bar + #wanted) == wanted then
      ids[#ids + 1] = id
    end
    bytes = bytes + #record
  end
  if bytes >= tonumber(ARGV[4]) then
    break
  end
end
return last and { rows[last + 1], rows[last], ids } or {}
