-- Shows the tasks that are next, in the order in which they would be handed out. Changes nothing.
-- Uses   bundle
-- KEYS   1-3 ready lists (high, medium, low)  4 tasks  5 attempts  last never
-- ARGV   1 most tasks  2 priorities to look at, as '0', '12', ...
-- Output id, record, attempts, ...
-- Atomic One consistent look.
-- Memory Reads only.
local most = tonumber(ARGV[1])
local out = {}

local shown = {}

local function show(id, record)
  -- A name may stand in a list twice.
  if record and not shown[id] and #out < 3 * most then
    shown[id] = true
    out[#out + 1] = id
    out[#out + 1] = record
    out[#out + 1] = redis.call('HGET', KEYS[5], id) or '0'
  end
end

for level = 1, 3 do
  local wanted = string.find(ARGV[2], tostring(level - 1), 1, true)
  -- A name may be without a record, or have lost it to its tasks (void.lua), so there may be more names than tasks.
  local names = wanted and redis.call('LRANGE', KEYS[level], 0, 2 * most - 1) or {}
  for _, name in ipairs(names) do
    if #out >= 3 * most then
      break
    end
    if sizeOf(name) == 1 then
      show(name, redis.call('HGET', KEYS[4], name))
    else
      for _, id in ipairs(membersOf(name)) do
        show(id, recordIn(KEYS[4], name, id) or redis.call('HGET', KEYS[4], id))
      end
    end
  end
end
return out
