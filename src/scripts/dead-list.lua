-- Lists dead tasks, the latest first. Changes nothing.
-- KEYS   1 dead  2 tasks  3 attempts  4 errors  last never
-- ARGV   1 time to start from, in ms, or '+inf'  2 most tasks
-- Output id, time of death in ms, record, attempts, error as JSON, ...; a record or an error that is not there is ''
-- Atomic One consistent look.
-- Memory Reads only.
local rows = redis.call('ZREVRANGEBYSCORE', KEYS[1], ARGV[1], '-inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
local out = {}
for i = 1, #rows, 2 do
  local id = rows[i]
  out[#out + 1] = id
  out[#out + 1] = rows[i + 1]
  out[#out + 1] = redis.call('HGET', KEYS[2], id) or ''
  out[#out + 1] = redis.call('HGET', KEYS[3], id) or '0'
  out[#out + 1] = redis.call('HGET', KEYS[4], id) or ''
end
return out
