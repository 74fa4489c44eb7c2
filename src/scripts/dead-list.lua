-- Lists dead tasks, the latest first. Changes nothing.
-- Uses   dead
-- KEYS   1 dead  2 tasks  3 attempts  4 errors  last never
-- ARGV   1 time of death, in ms, and 2 id of the task after which to begin; both empty for the latest
--        3 most tasks  4 bytes of records and errors after which no more are listed
-- Output id, time of death in ms, record, attempts, error as JSON, ...; of one whose record is missing, the record is empty
-- Atomic One consistent look.
-- Memory Reads only.
local rows = deadAfter(KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3]))
local out, bytes = {}, 0
for i = 1, #rows, 2 do
  local id = rows[i]
  local record = redis.call('HGET', KEYS[2], id) or ''
  local error = redis.call('HGET', KEYS[4], id) or ''
  out[#out + 1] = id
  out[#out + 1] = rows[i + 1]
  out[#out + 1] = record
  out[#out + 1] = redis.call('HGET', KEYS[3], id) or '0'
  out[#out + 1] = error
  bytes = bytes + #record + #error
  if bytes >= tonumber(ARGV[4]) then
    break
  end
end
return out
