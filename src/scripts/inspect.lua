-- Looks up one task. Changes nothing.
-- Uses   bundle
-- KEYS   1 tasks  2 attempts  3 scheduled  4 dead  5 errors  6 results  7 checkpoints  8 result expiry
--        9.. sets of the leases there are  last never
-- ARGV   1 task id
-- Output {} | { state, record, attempts, time, error, result, checkpoints }
--        state  'ready' | 'active' | 'scheduled' | 'dead' | 'completed'
--        record '' of a dead task that has lost it, and of a completed one
--        time   when it is due (scheduled), died (dead) or was completed, in ms; '' otherwise
--        result 'completed' only: "<ms> <attempts> <length> <result><record>", as exchange.lua stores it
-- Atomic One consistent look.
-- Memory Reads only.
local id = ARGV[1]
local name = bundleOf(id)
local record = redis.call('HGET', KEYS[1], id) or (name and recordIn(KEYS[1], name, id))
if not record then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local result = redis.call('HGET', KEYS[6], id)
  -- A dead letter that has lost its record: it can be seen, and so removed.
  local died = redis.call('ZSCORE', KEYS[4], id)
  if died then
    local attempts = redis.call('HGET', KEYS[2], id) or '0'
    return { 'dead', '', attempts, died, redis.call('HGET', KEYS[5], id) or '', '', redis.call('HGET', KEYS[7], id) or '' }
  end
  -- tend.lua removes it in its own time; it is forgotten from the ms that was promised.
  if result and tonumber(redis.call('ZSCORE', KEYS[8], id) or '0') > now then
    return { 'completed', '', '0', '', '', result, '' }
  end
  return {}
end
local attempts = redis.call('HGET', KEYS[2], id) or '0'
local checkpoints = redis.call('HGET', KEYS[7], id) or ''
local due = redis.call('ZSCORE', KEYS[3], id)
if due then
  return { 'scheduled', record, attempts, due, '', '', checkpoints }
end
local died = redis.call('ZSCORE', KEYS[4], id)
if died then
  return { 'dead', record, attempts, died, redis.call('HGET', KEYS[5], id) or '', '', checkpoints }
end
for i = 9, #KEYS - 1 do
  if redis.call('SISMEMBER', KEYS[i], id) == 1 or (name and redis.call('SISMEMBER', KEYS[i], name) == 1) then
    return { 'active', record, attempts, '', '', '', checkpoints }
  end
end
return { 'ready', record, attempts, '', '', '', checkpoints }
